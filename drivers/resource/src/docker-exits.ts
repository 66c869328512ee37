/**
 * Tells when containers end, by whoever notices first: the engine's stream of events, or /proc where the container's first
 * process can be seen from here, which also works while the engine is away. After a gap in the stream the engine is asked.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "./docker-engine.ts";
import { type ProcessName, readLiving } from "./proc-stat.ts";

const POLL_MS = 20;
const REOPEN_MS = 200;
/** Ends that are remembered for a listener who comes late. */
const ENDED_KEPT_MAX = 64;

type Ended = (detail: string) => void;
type Watched = { readonly process: ProcessName; readonly listeners: Ended[] };

export class ContainerExits {
  readonly #engine: Engine;
  readonly #watched = new Map<string, Watched>();
  readonly #ended = new Map<string, string>();
  readonly #stop = new AbortController();
  #following: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** From now on its end is noticed. `process`: pid 0 when it cannot be seen from here. */
  watch(container: string, process: ProcessName): void {
    if (this.#stop.signal.aborted || this.#watched.has(container)) return;
    this.#watched.set(container, { process, listeners: [] });
    this.#following ??= this.#follow();
    this.#timer ??= setInterval(() => this.#look(), POLL_MS).unref();
  }

  listen(container: string, ended: Ended): void {
    if (this.#stop.signal.aborted) return;
    const watched = this.#watched.get(container);
    if (watched) watched.listeners.push(ended);
    else {
      const detail = this.#ended.get(container) ?? "exited: its container is gone";
      queueMicrotask(() => ended(detail));
    }
  }

  /** Its listeners, who now hear of nothing: it is replaced by another container. */
  release(container: string): readonly Ended[] {
    const listeners = this.#watched.get(container)?.listeners ?? [];
    this.#watched.delete(container);
    return listeners;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#timer);
    this.#watched.clear();
    await this.#following;
  }

  #look(): void {
    for (const [container, { process }] of this.#watched)
      if (process.pid > 0 && !readLiving(process)) this.#tell(container, "exited: its process is gone");
  }

  #tell(container: string, detail: string): void {
    const watched = this.#watched.get(container);
    // The engine may tell late of the life before a restart.
    if (!watched || (watched.process.pid > 0 && readLiving(watched.process))) return;
    this.#watched.delete(container);
    this.#ended.set(container, detail);
    if (this.#ended.size > ENDED_KEPT_MAX) this.#ended.delete(this.#ended.keys().next().value!);
    for (const listener of watched.listeners) listener(detail);
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const stream = this.#engine.followEnds(
          ({ Actor }) => this.#tell(Actor.ID, `exited: code ${Actor.Attributes.exitCode ?? "unknown"}`),
          signal,
        );
        // Asked after the stream was opened: what ended before it is seen here, what ends later there.
        await Promise.all([stream, this.#askAll()]);
      } catch {
        // The engine is away; whoever needs it next says so. /proc is looked at meanwhile.
      }
      await sleep(REOPEN_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #askAll(): Promise<void> {
    for (const container of [...this.#watched.keys()]) {
      const inspect = await this.#engine.inspect(container);
      if (!inspect?.State.Running)
        this.#tell(container, `exited: code ${inspect?.State.ExitCode ?? "unknown"}`);
    }
  }
}
