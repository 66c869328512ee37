/** Whether a Redis server keeps what it acknowledges: an authority that forgets an epoch lets two primaries live. */

import type { Redis } from "ioredis";
import { StoreError } from "./store.ts";

const REQUIRED = { appendonly: "yes", appendfsync: "always", "maxmemory-policy": "noeviction" } as const;

/** Throws StoreError "unsafe" with every setting that is wrong and how to set it right. */
export async function checkDurability(redis: Redis, address: string): Promise<void> {
  const wrong: string[] = [];
  for (const [name, wanted] of Object.entries(REQUIRED)) {
    const [, found] = (await redis.config("GET", name)) as string[];
    if (found !== wanted) wrong.push(`${name} is ${found ?? "unknown"}, set it to ${wanted}`);
  }
  if (wrong.length > 0) {
    throw new StoreError("unsafe", `redis ${address} may forget what it acknowledged: ${wrong.join("; ")}`);
  }
}
