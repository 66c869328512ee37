/** The real clocks. Boot time has the 10 ms resolution of /proc/uptime. */

import { openSync, readSync } from "node:fs";
import type { Clock } from "@understudy/model/clock";

const UPTIME = "/proc/uptime";
const TEXT_BYTES_MAX = 64;

let file: number | undefined;
const text = Buffer.alloc(TEXT_BYTES_MAX);

/** The file stays open, and each read of it from its start makes its text anew. */
function readBootMs(): number {
  file ??= openSync(UPTIME, "r");
  const length = readSync(file, text, 0, TEXT_BYTES_MAX, 0);
  return Math.round(Number.parseFloat(text.toString("latin1", 0, length)) * 1000);
}

let thisTurnMs: number | undefined;

/**
 * Read once a turn of the event loop: a replicator asks thousands of times a second. Late in a long turn it is early by the turn's
 * length so far, also when it was frozen midway. A request then counts as sent too early, which is safe. A lease looks good for that
 * much longer: the half of it that its holder does not use covers that, and programs hold their role order against a clock of their own.
 */
function bootMs(): number {
  if (thisTurnMs === undefined) {
    thisTurnMs = readBootMs();
    setImmediate(() => {
      thisTurnMs = undefined;
    });
  }
  return thisTurnMs;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  bootMs,
};
