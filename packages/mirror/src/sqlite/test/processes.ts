/** Child processes that answer questions over IPC: the applications of these tests are never in the mirror's process. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { flushCompileCache } from "node:module";

const ANSWER_WITHIN_MS = 30_000;

export type Asked = Readonly<Record<string, unknown>>;

export type Program = "writer" | "reader" | "applier";

type Answer = { readonly id: number; readonly result?: unknown; readonly error?: string };

/** In the child: answers each question with what the handler of its name returns or throws. Ends with its parent. */
export function answer(handlers: Readonly<Record<string, (asked: never) => unknown>>): void {
  process.on("disconnect", () => process.exit(0));
  // Now, because a process that will be killed does not get to it at its end.
  flushCompileCache();
  process.on("message", ({ id, name, asked }: { id: number; name: string; asked: Asked }) => {
    try {
      process.send!({ id, result: handlers[name]!(asked as never) } satisfies Answer);
    } catch (error) {
      process.send!({ id, error: String(error instanceof Error ? error.stack : error) } satisfies Answer);
    }
  });
}

/** In the test: a running child. */
export class Process {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #next = 0;

  /** `program` is the name of a file in this folder. Its compiled form is kept in `cacheDir`: half the time of a start. */
  constructor(program: Program, cacheDir: string) {
    this.#child = fork(new URL(`./${program}.ts`, import.meta.url), {
      serialization: "advanced",
      env: { ...process.env, NODE_COMPILE_CACHE: cacheDir },
    });
    this.#child.on("message", (message: Answer) => {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
    });
    this.#child.on("exit", () => {
      for (const give of this.#waiting.values()) give({ id: 0, error: `${program} has ended` });
      this.#waiting.clear();
    });
  }

  async ask<T = unknown>(name: string, asked: Asked = {}): Promise<T> {
    this.#next += 1;
    const id = this.#next;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const timer = setTimeout(() => resolve({ id, error: `no answer to ${name}` }), ANSWER_WITHIN_MS);
    this.#waiting.set(id, resolve);
    this.#child.send({ id, name, asked });
    const { result, error } = await promise;
    clearTimeout(timer);
    if (error !== undefined) throw new Error(error);
    return result as T;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}
