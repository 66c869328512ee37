/** The registry of hosts on disk, replaced by rename and synced: a token that was used must stay used. */

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import type { Registry } from "./registry.ts";

const registrySchema = z.array(
  z.discriminatedUnion("state", [
    z.object({
      name: z.string(),
      state: z.literal("invited"),
      secretHash: z.string(),
      expiresAtMs: z.number(),
    }),
    z.object({
      name: z.string(),
      state: z.literal("joined"),
      control: z.string(),
      data: z.string(),
      joinedAtMs: z.number(),
    }),
    z.object({ name: z.string(), state: z.literal("removed") }),
  ]),
);

/** Empty when there is none yet. Throws when it cannot be read: that is not the same. */
export function readRegistry(path: string): Registry {
  try {
    return registrySchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new Error(`the hosts in ${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

export function writeRegistry(path: string, registry: Registry): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, JSON.stringify(registry), { mode: 0o600 });
  sync(`${path}.new`);
  renameSync(`${path}.new`, path);
  sync(dirname(path));
}

function sync(path: string): void {
  const opened = openSync(path, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}
