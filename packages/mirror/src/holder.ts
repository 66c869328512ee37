/** Our side of holder-process.ts: one writer made to stand still at a time, and let go whatever happens to either of us. */

import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { AppCall } from "@understudy/model/policy";
import { MirrorError } from "./error.ts";
import { type Held, letGo, readHeld } from "./held.ts";

export type HoldOrder =
  | { readonly order: "hold"; readonly held: Held; readonly quiesce?: AppCall; readonly holdMs: number }
  | { readonly order: "release" };

export type HoldAnswer =
  | { readonly said: "held" }
  | { readonly said: "failed"; readonly why: string }
  /** It does not go on yet; it is tried again. */
  | { readonly said: "stuck"; readonly why: string }
  | { readonly said: "released"; readonly expired: boolean; readonly heldMs: number };

export interface Holder {
  /** Throws when the writer does not stand still; it goes on then. */
  hold(order: Omit<Extract<HoldOrder, { order: "hold" }>, "order">): Promise<void>;
  /** `whole`: it stood still all the time until now. */
  release(): Promise<{ whole: boolean; heldMs: number }>;
  close(): Promise<void>;
}

/** `record` is where a writer that stands still is written down. */
export function openHolder(record: string, onError: (error: Error) => void): Holder {
  let child: ChildProcess | undefined;
  let onAnswer: ((answer: HoldAnswer | undefined) => void) | undefined;

  function start(): ChildProcess {
    // A group of its own: what ends us must not end it before it has let the writer go.
    const started = fork(join(import.meta.dirname, "holder-process.ts"), [record], {
      detached: true,
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      execArgv: [],
    });
    started.on("message", (answer: HoldAnswer) => {
      if (answer.said === "stuck") onError(new MirrorError("io", `thaw: ${answer.why}; tried again`));
      else onAnswer?.(answer);
    });
    const ended = () => {
      if (child === started) child = undefined;
      onAnswer?.(undefined);
    };
    started.on("exit", ended);
    started.on("error", ended);
    started.unref();
    started.channel?.unref();
    return started;
  }

  function ask(order: HoldOrder): Promise<HoldAnswer | undefined> {
    child ??= start();
    const { channel } = child;
    channel?.ref();
    return new Promise<HoldAnswer | undefined>((resolve) => {
      onAnswer = resolve;
      child!.send(order, (error) => error && resolve(undefined));
    }).finally(() => {
      onAnswer = undefined;
      channel?.unref();
    });
  }

  return {
    async hold(order) {
      const answer = await ask({ order: "hold", ...order });
      if (answer?.said === "held") return;
      if (!answer) await thawStale(record);
      throw new MirrorError(
        "io",
        answer?.said === "failed" ? answer.why : "who holds the writer still is gone",
      );
    },
    async release() {
      const answer = child && (await ask({ order: "release" }));
      if (answer?.said === "released") return { whole: !answer.expired, heldMs: answer.heldMs };
      await thawStale(record);
      return { whole: false, heldMs: 0 };
    },
    async close() {
      child?.disconnect();
      child = undefined;
    },
  };
}

/** Lets a writer go on that was left standing by a process that is gone. True when there was one. */
export async function thawStale(record: string): Promise<boolean> {
  const held = readHeld(record);
  if (!held) return false;
  await letGo(record, held);
  return true;
}
