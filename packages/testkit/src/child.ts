/**
 * A process of a run: started, waited for until it answers, ended with us; for fault tests killed and started again as it
 * was. With `restartAfterMs` it is also started again when it ends by itself, as a supervisor would do.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TestkitError } from "./error.ts";
import { setNiceness } from "./niceness.ts";
import type { Run } from "./run.ts";
import { waitFor } from "./wait.ts";

/** Five services that start at once on two busy cores need several seconds each. */
const READY_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 8000;
const LOG_LINES = 5;

export type Child = {
  /** Undefined while it is not running. */
  pid(): number | undefined;
  /** How often it was started. */
  starts(): number;
  /** Asks it to end, then ends it by force; it stays down. Idempotent. */
  stop(): Promise<void>;
  /** As a crash would: SIGKILL. A supervised one comes back by itself. */
  kill(): Promise<void>;
  /** Starts it as it was, on the same ports and data, after a stop if it runs; resolves when it answers. */
  restart(): Promise<void>;
  /** Resolves when it answers. */
  ready(): Promise<void>;
  /** For pauses: SIGSTOP and SIGCONT. */
  signal(name: NodeJS.Signals): void;
};

export type ChildSpec = {
  /** Of its log, "<name>.log" in the folder. */
  readonly name: string;
  /** Inside the run's folder; keeps its log. */
  readonly folder: string;
  /** Its working folder, when that is not `folder`. */
  readonly cwd?: string;
  readonly file: string;
  readonly args: (start: number) => readonly string[];
  /** All it gets, besides PATH, HOME and the run's mark. */
  readonly env: Readonly<Record<string, string>>;
  readonly isReady: () => Promise<boolean>;
  readonly readyWithinMs?: number;
  readonly restartAfterMs?: number;
  readonly niceness?: number;
  /** How a signal reaches what the child stands for; by default, the child itself. */
  readonly send?: (name: NodeJS.Signals, start: number) => void;
};

type Running = { readonly process: ChildProcess; readonly start: number; readonly ended: Promise<void> };

export async function startChild(run: Run, spec: ChildSpec): Promise<Child> {
  const child = new SupervisedChild(run, spec);
  try {
    await child.restart();
  } catch (error) {
    await child.stop();
    throw error;
  }
  return child;
}

class SupervisedChild implements Child {
  readonly #run: Run;
  readonly #spec: ChildSpec;
  #running: Running | undefined;
  #starts = 0;
  /** What its user wants; a supervised child that is down and wanted comes back. */
  #wanted = false;
  #comeback: NodeJS.Timeout | undefined;

  constructor(run: Run, spec: ChildSpec) {
    this.#run = run;
    this.#spec = spec;
  }

  pid(): number | undefined {
    return this.#running?.process.pid;
  }

  starts(): number {
    return this.#starts;
  }

  async restart(): Promise<void> {
    await this.stop();
    this.#wanted = true;
    this.#start();
    await this.ready();
  }

  async stop(): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#comeback);
    await this.#end("SIGTERM");
  }

  async kill(): Promise<void> {
    if (this.#spec.restartAfterMs === undefined) this.#wanted = false;
    await this.#end("SIGKILL");
  }

  signal(name: NodeJS.Signals): void {
    if (this.#running) this.#send(this.#running, name);
  }

  async ready(): Promise<void> {
    const supervised = this.#spec.restartAfterMs !== undefined;
    const isOver = () => !this.#running && !(supervised && this.#wanted);
    const { name, isReady, readyWithinMs: withinMs = READY_WITHIN_MS } = this.#spec;
    try {
      await waitFor(async () => isOver() || (this.#running && (await isReady())), { withinMs });
    } catch (cause) {
      const silence = `${name} does not answer within ${withinMs} ms: ${this.#lastLines()}`;
      throw new TestkitError("not-ready", silence, { cause });
    }
    if (isOver()) throw new TestkitError("not-ready", `${name} ended: ${this.#lastLines()}`);
  }

  #start(): void {
    this.#starts += 1;
    const running = spawnChild(this.#run, this.#spec, this.#starts);
    this.#running = running;
    void running.ended.then(() => this.#onEnd(running));
  }

  #onEnd(running: Running): void {
    if (this.#running === running) this.#running = undefined;
    const afterMs = this.#spec.restartAfterMs;
    if (afterMs === undefined || !this.#wanted) return;
    this.#comeback = setTimeout(() => {
      if (this.#wanted && !this.#running) this.#start();
    }, afterMs);
    this.#comeback.unref();
  }

  async #end(name: "SIGTERM" | "SIGKILL"): Promise<void> {
    const running = this.#running;
    if (!running) return;
    // A child does not keep us alive, but its end must be seen.
    running.process.ref();
    this.#send(running, name);
    const forced = setTimeout(() => this.#send(running, "SIGKILL"), STOP_WITHIN_MS);
    await running.ended;
    clearTimeout(forced);
  }

  #send(running: Running, name: NodeJS.Signals): void {
    if (this.#spec.send) this.#spec.send(name, running.start);
    else running.process.kill(name);
  }

  #lastLines(): string {
    const log = readFileSync(join(this.#spec.folder, `${this.#spec.name}.log`), "utf8");
    return log.trim().split("\n").slice(-LOG_LINES).join(" | ") || "it said nothing";
  }
}

function spawnChild(run: Run, spec: ChildSpec, start: number): Running {
  mkdirSync(spec.folder, { recursive: true, mode: 0o700 });
  const log = openSync(join(spec.folder, `${spec.name}.log`), "a", 0o600);
  // A session of its own: the Ctrl-C meant for us must not end the children before our orderly end has used them.
  const child = spawn(spec.file, spec.args(start), {
    cwd: spec.cwd ?? spec.folder,
    stdio: ["ignore", log, log],
    detached: true,
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/", ...spec.env, ...run.env },
  });
  closeSync(log);
  child.unref();
  if (child.pid && spec.niceness !== undefined) setNiceness(child.pid, spec.niceness);
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  return { process: child, start, ended };
}
