/**
 * Tells when instances end: at once for our own children, by looking at /proc for those that an earlier process of ours
 * had started. Each listener is called exactly once, also when the end came before it.
 */

import type { ChildProcess } from "node:child_process";
import type { RunningInstance } from "./driver.ts";
import { readLiving } from "./proc-stat.ts";

const POLL_MS = 20;

/** Ends of own children that are remembered for a listener who comes late. */
const ENDED_KEPT_MAX = 64;

type Ended = (detail: string) => void;
type Child = { ended: string | undefined; readonly listeners: Ended[] };

export class ExitWatch {
  readonly #children = new Map<string, Child>();
  readonly #endedKeys: string[] = [];
  #adopted: { readonly running: RunningInstance; readonly ended: Ended }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  ownChild(running: RunningInstance, process: ChildProcess): void {
    const child: Child = { ended: undefined, listeners: [] };
    this.#children.set(keyOf(running), child);
    process.once("exit", (code, signal) => {
      child.ended = signal ? `exited: signal ${signal}` : `exited: code ${code}`;
      this.#endedKeys.push(keyOf(running));
      if (this.#endedKeys.length > ENDED_KEPT_MAX) this.#children.delete(this.#endedKeys.shift()!);
      if (!this.#closed) for (const listener of child.listeners) listener(child.ended);
    });
  }

  listen(running: RunningInstance, ended: Ended): void {
    if (this.#closed) return;
    const child = this.#children.get(keyOf(running));
    if (child?.ended !== undefined) {
      const detail = child.ended;
      queueMicrotask(() => ended(detail));
    } else if (child) child.listeners.push(ended);
    else {
      this.#adopted.push({ running, ended });
      this.#timer ??= setInterval(() => this.#poll(), POLL_MS).unref();
    }
  }

  /** Its end is of our doing: nobody is told. */
  forget(running: RunningInstance): void {
    this.#children.get(keyOf(running))?.listeners.splice(0);
    this.#adopted = this.#adopted.filter((watched) => keyOf(watched.running) !== keyOf(running));
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#adopted = [];
  }

  #poll(): void {
    const gone = this.#adopted.filter(({ running }) => readLiving(running) === undefined);
    if (gone.length === 0) return;
    this.#adopted = this.#adopted.filter((watched) => !gone.includes(watched));
    if (this.#adopted.length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    for (const { ended } of gone) ended("exited: its process is gone");
  }
}

function keyOf(running: RunningInstance): string {
  return `${running.pid}:${running.pidStartTicks}`;
}
