/** What tests ask of a replicator with the example service behind it, and of the service's instances themselves. */

import assert from "node:assert/strict";
import { waitFor } from "@understudy/testkit/wait";
import { type Instance, InstancePhase } from "@understudy/wire/gen/role";
import type { Started } from "./start-replicator.ts";

export const WITHIN_MS = 60_000;

export async function instancesOf(started: Started): Promise<readonly Instance[]> {
  return (await started.status()).roles?.instances ?? [];
}

export async function primaryOf(started: Started): Promise<Instance | undefined> {
  const { roles } = await started.status();
  return roles?.instances.find((each) => each.name === roles.primary && each.phase === InstancePhase.SERVING);
}

/** A serving primary, and as many shadows in sync. */
export function settledWith(started: Started, shadows: number): Promise<Instance> {
  return waitFor(
    async () => {
      const { inSync, roles } = await started.status();
      const serving = roles?.instances.filter((each) => each.phase === InstancePhase.SERVING).length;
      return inSync.length === shadows && serving === shadows + 1 && primaryOf(started);
    },
    { withinMs: WITHIN_MS, what: `a primary and ${shadows} shadows in sync` },
  );
}

/** Orders are critical writes, views are not. */
export async function post(address: string, path: "/orders" | "/views", key: string): Promise<number> {
  const response = await fetch(`http://${address}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": key },
    body: JSON.stringify({ product: 5, quantity: 1 }),
  });
  await response.arrayBuffer();
  return response.status;
}

/** The idempotency keys of all writes that an instance shows. */
export async function keysAt(address: string): Promise<string[]> {
  const found: string[] = [];
  for (let from = 0; ; ) {
    const response = await fetch(`http://${address}/idempotency-keys?after=${from}`);
    const page = (await response.json()) as { id: number; key: string }[];
    if (page.length === 0) return found;
    found.push(...page.map((each) => each.key));
    from = page.at(-1)!.id;
  }
}

/** Orderly ends of a replicator leave instances running: that is what they are for. */
export async function endInstances(started: Started): Promise<void> {
  for (const { pid } of await instancesOf(started)) if (pid > 0) end(pid);
}

export function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ESRCH");
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ESRCH");
    return false;
  }
}
