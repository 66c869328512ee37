/**
 * Holds a writer still on behalf of the process that started it, and outlives that: when the channel closes, when the
 * time is over, or when it is told, the writer goes on. Run with one argument: the file of the record.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { freeze } from "./freeze.ts";
import { type Held, letGo, writeHeld } from "./held.ts";
import type { HoldAnswer, HoldOrder } from "./holder.ts";
import { callApp } from "./hook.ts";

const RETRY_MS = 100;
/** An application that refuses to be thawed for so long is left to its operators; the record stays. */
const RETRIES_MAX = 300;

const record = process.argv[2]!;
let held: Held | undefined;
let heldAtMs = 0;
let expired = false;
let timer: NodeJS.Timeout | undefined;
let letting: Promise<string> | undefined;

const answer = (said: HoldAnswer) => void (process.connected && process.send?.(said));

async function hold({ held: wanted, quiesce, holdMs }: Extract<HoldOrder, { order: "hold" }>): Promise<void> {
  writeHeld(record, wanted);
  held = wanted;
  heldAtMs = performance.now();
  expired = false;
  timer = setTimeout(() => {
    expired = true;
    void release();
  }, holdMs);
  try {
    if (wanted.kind === "freeze") await freeze(wanted.frozen);
    else await callApp(quiesce!, wanted.target, wanted.timeoutMs);
    answer({ said: "held" });
  } catch (error) {
    // A quiesce that was given up may have been obeyed all the same.
    await release();
    answer({ said: "failed", why: (error as Error).message });
  }
}

/** Resolves with why it could not be done, or with nothing. */
function release(): Promise<string> {
  clearTimeout(timer);
  letting ??= (held ? letGoPatiently(held) : Promise.resolve("")).finally(() => {
    letting = undefined;
    held = undefined;
  });
  return letting;
}

async function letGoPatiently(what: Held): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await letGo(record, what);
      return "";
    } catch (error) {
      if (attempt === 1) answer({ said: "stuck", why: (error as Error).message });
      if (attempt >= RETRIES_MAX) return (error as Error).message;
      await sleep(RETRY_MS);
    }
  }
}

let work: Promise<void> = Promise.resolve();
process.on("message", (order: HoldOrder) => {
  work = work.then(async () => {
    if (order.order === "hold") return hold(order);
    const why = await release();
    answer({ said: "released", expired: expired || why !== "", heldMs: performance.now() - heldAtMs });
  });
});
process.on("disconnect", () => {
  void work.then(release).finally(() => process.exit(0));
});
// It ends with its channel and by nothing else: a signal to our whole group must not leave the writer standing.
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => undefined);
