/**
 * Looks at the processes of the instances on this host every 20 ms: the fastest and surest evidence of death there is. One
 * timer and one short read for each process; many processes are looked at less often, so that the work is bounded.
 */

import { canRun, type ProcessName, ProcStatFile } from "@understudy/resource/proc-stat";
import type { ProcessCondition, Signal } from "./signal.ts";

const POLL_MS = 20;
const LOOKS_PER_SECOND_MAX = 2_000;
/** An unchanged condition is said again this often, so that evidence shows its age. */
const SAME_AGAIN_MS = 1_000;

type OnSignal = (signal: Signal) => void;
type Entry = {
  readonly pid: number;
  readonly file: ProcStatFile | undefined;
  readonly onSignal: OnSignal;
  said: { readonly condition: ProcessCondition; readonly atMs: number } | undefined;
};

export class ProcessWatch {
  readonly #entries = new Set<Entry>();
  #timer: NodeJS.Timeout | undefined;

  /** Calls `onSignal` on each change, at once the first time, until closed. */
  watch(name: ProcessName, onSignal: OnSignal): { close(): void } {
    const entry: Entry = { pid: name.pid, file: ProcStatFile.open(name), onSignal, said: undefined };
    this.#entries.add(entry);
    this.#schedule();
    this.#look(entry, performance.now());
    return { close: () => this.#drop(entry) };
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => this.#lookAtAll(), pollMs(this.#entries.size));
  }

  #lookAtAll(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const entry of this.#entries) this.#look(entry, nowMs);
    if (this.#entries.size > 0) this.#schedule();
  }

  #look(entry: Entry, nowMs: number): void {
    const state = entry.file?.readState();
    const condition = conditionOf(state);
    const { said } = entry;
    if (said?.condition === condition && nowMs - said.atMs < SAME_AGAIN_MS) return;
    entry.said = { condition, atMs: nowMs };
    // That it is gone is said once: nothing can follow.
    if (condition === "gone") this.#drop(entry);
    entry.onSignal({ from: "process", condition, detail: describe(condition, entry.pid, state) });
  }

  #drop(entry: Entry): void {
    entry.file?.close();
    this.#entries.delete(entry);
    if (this.#entries.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** The pause between two looks at so many processes. */
export function pollMs(processes: number): number {
  return Math.max(POLL_MS, (processes * 1000) / LOOKS_PER_SECOND_MAX);
}

/** `state`: the letter of /proc/<pid>/stat; undefined when there is no such process. */
export function conditionOf(state: string | undefined): ProcessCondition {
  if (state === undefined || !canRun({ state })) return "gone";
  return state === "T" || state === "t" ? "stopped" : "running";
}

function describe(condition: ProcessCondition, pid: number, state: string | undefined): string {
  switch (condition) {
    case "running":
      return `process ${pid} runs`;
    case "stopped":
      return `process ${pid} is stopped`;
    case "gone":
      return `exited: process ${pid} is ${state === undefined ? "gone" : "a zombie"}`;
  }
}
