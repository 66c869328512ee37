/**
 * A service is a flat group of actors that start together and end together (the idea of oklog/run): when one ends or
 * fails, or a signal arrives, all are asked to end, and what was opened is closed in reverse order.
 */

import { pause } from "@understudy/model/pause";
import { openLog } from "./log.ts";

const END_WITHIN_MS = 5_000;

export type Actor = { readonly name: string; run(signal: AbortSignal): Promise<void> };

type Closable = { close(): Promise<void> | void };
/** Registers something to be closed when the service ends; returns it. */
export type Own = <T extends Closable>(resource: T) => T;

/** Runs a service to its end and sets the exit code: 0 after a signal, 1 when it failed. */
export async function runService(
  name: string,
  open: (own: Own, env: NodeJS.ProcessEnv) => Promise<readonly Actor[]>,
): Promise<void> {
  const log = openLog(name, process.env.UNDERSTUDY_LOG_LEVEL ?? "info");
  const opened: Closable[] = [];
  const own: Own = (resource) => {
    opened.push(resource);
    return resource;
  };
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());
  let doing = "start";
  stop.signal.addEventListener("abort", () => {
    // Whatever hangs must not keep a stopped service alive; a socket that will not close does no harm.
    setTimeout(() => {
      if (doing === "") return process.exit();
      log.error("did not end in time", { doing });
      process.exit(1);
    }, END_WITHIN_MS).unref();
  });
  try {
    const actors = await open(own, process.env);
    doing = "run actors";
    log.info("started", { pid: process.pid, actors: actors.map((actor) => actor.name) });
    await runActors(actors, stop);
  } catch (error) {
    log.error("ended by an error", { error });
    process.exitCode = 1;
  } finally {
    stop.abort();
    doing = "close";
    await closeAll(opened, (error) => log.warn("close failed", { error }));
    doing = "";
  }
}

/** Resolves when all actors have ended; rejects with the first failure. */
export async function runActors(actors: readonly Actor[], stop: AbortController): Promise<void> {
  const running = actors.map(async (actor) => {
    try {
      await actor.run(stop.signal);
      if (!stop.signal.aborted) throw new Error("ended by itself");
    } catch (error) {
      throw new Error(`actor ${actor.name}`, { cause: error });
    } finally {
      stop.abort();
    }
  });
  const ended = await Promise.allSettled(running);
  const failed = ended.find((end) => end.status === "rejected");
  if (failed) throw failed.reason;
}

async function closeAll(opened: Closable[], failed: (error: unknown) => void): Promise<void> {
  for (const resource of opened.reverse()) {
    try {
      await resource.close();
    } catch (error) {
      failed(error);
    }
  }
}

/** Follows a stream that its server may end or refuse at any time: opens it again after `retryMs`, until the signal aborts. */
export async function followForever<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  {
    signal,
    retryMs = 100,
    onItem,
    onLost,
  }: {
    signal: AbortSignal;
    retryMs?: number;
    onItem: (item: T) => void | Promise<void>;
    onLost?: (error: unknown) => void;
  },
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const item of open(signal)) await onItem(item);
    } catch (error) {
      onLost?.(error);
    }
    await pause(retryMs, signal);
  }
}
