/** The real clocks. Boot time has the 10 ms resolution of /proc/uptime. */

import { readFileSync } from "node:fs";
import type { Clock } from "@understudy/model/clock";

const UPTIME = "/proc/uptime";

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  bootMs: () => Math.round(Number.parseFloat(readFileSync(UPTIME, "latin1")) * 1000),
};
