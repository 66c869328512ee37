/** The real clocks. Boot time has the 10 ms resolution of /proc/uptime. */

import { openSync, readSync } from "node:fs";
import type { Clock } from "@understudy/model/clock";

const UPTIME = "/proc/uptime";
const TEXT_BYTES_MAX = 64;

let file: number | undefined;
const text = Buffer.alloc(TEXT_BYTES_MAX);

/** Asked hundreds of times a second: the file stays open, and each read of it from its start makes its text anew. */
function readBootMs(): number {
  file ??= openSync(UPTIME, "r");
  const length = readSync(file, text, 0, TEXT_BYTES_MAX, 0);
  return Math.round(Number.parseFloat(text.toString("latin1", 0, length)) * 1000);
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  bootMs: readBootMs,
};
