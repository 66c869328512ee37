/** Looks at the process of an instance on this host every 20 ms: the fastest and surest evidence of death there is. */

import { canRun, type ProcStat, ProcStatFile } from "@understudy/resource/proc-stat";
import type { ProcessCondition, Signal } from "./signal.ts";

export const PROCESS_POLL_MS = 20;
/** An unchanged condition is said again this often, so that evidence shows its age. */
const SAME_AGAIN_MS = 500;

export type ProcessName = { readonly pid: number; readonly pidStartTicks: number };

/** Calls `onSignal` on each change, at once the first time, until closed. */
export function watchProcess(name: ProcessName, onSignal: (signal: Signal) => void): { close(): void } {
  const file = ProcStatFile.open(name);
  let said: { condition: ProcessCondition; atMs: number } | undefined;
  let gone = false;
  const look = (): void => {
    if (gone) return;
    const nowMs = performance.now();
    const stat = file?.read();
    const condition = conditionOf(stat);
    gone = condition === "gone";
    if (said?.condition === condition && nowMs - said.atMs < SAME_AGAIN_MS) return;
    said = { condition, atMs: nowMs };
    onSignal({ from: "process", condition, detail: describe(condition, name.pid, stat) });
    if (gone) close();
  };
  const timer = setInterval(look, PROCESS_POLL_MS);
  function close(): void {
    clearInterval(timer);
    file?.close();
  }
  look();
  return { close };
}

export function conditionOf(stat: ProcStat | undefined): ProcessCondition {
  if (!stat || !canRun(stat)) return "gone";
  return stat.state === "T" || stat.state === "t" ? "stopped" : "running";
}

function describe(condition: ProcessCondition, pid: number, stat: ProcStat | undefined): string {
  switch (condition) {
    case "running":
      return `process ${pid} runs`;
    case "stopped":
      return `process ${pid} is stopped`;
    case "gone":
      return `exited: process ${pid} is ${stat ? "a zombie" : "gone"}`;
  }
}
