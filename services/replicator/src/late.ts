/**
 * What a replicator can do without at first. Bus and telemetry are half of what a start loads, and what the replicator before has
 * left waits for it: leases run out, and clients' writes with them. So when it knows from its disk what to take over, these
 * two come once its primaries serve again.
 */

import type { Bus } from "@understudy/bus/bus";
import { beforeAbort, pause } from "@understudy/model/pause";
import type { Actor } from "@understudy/service/run";
import type { Telemetry } from "@understudy/service/telemetry";
import { loadTelemetry } from "@understudy/service/telemetry-late";
import type { ReplicatorConfig } from "./config.ts";

/** A primary that does not serve by then is not waited for. */
const LATE_MAX_MS = 5_000;
const LOOK_EVERY_MS = 50;

export type Late = {
  readonly bus: Promise<Bus>;
  readonly telemetry: Promise<Telemetry>;
  /** Loads them once `isServing`, or at once when there is nothing to take over. */
  load(options: { readonly takesOver: boolean; readonly isServing: () => boolean }): Actor;
  close(): Promise<void>;
};

export function openLate(config: ReplicatorConfig): Late {
  const bus = Promise.withResolvers<Bus>();
  const telemetry = Promise.withResolvers<Telemetry>();
  const opened: { close(): Promise<void> }[] = [];
  let closed = false;

  /** What comes after the end is closed at once. */
  async function own<T extends { close(): Promise<void> }>(late: T): Promise<T> {
    if (closed) await late.close();
    else opened.push(late);
    return late;
  }

  async function connect(): Promise<void> {
    const { connectJetStream } = await import("@understudy/bus/jetstream");
    const connecting = connectJetStream({ ...config.nats, name: `replicator@${config.host}` });
    bus.resolve(await own(await connecting));
  }

  async function measure(signal: AbortSignal): Promise<void> {
    telemetry.resolve(await own(await loadTelemetry({ service: "replicator", ...config }, signal)));
  }

  return {
    bus: bus.promise,
    telemetry: telemetry.promise,
    load: ({ takesOver, isServing }) => ({
      name: "late",
      run: async (signal) => {
        const untilMs = performance.now() + (takesOver ? LATE_MAX_MS : 0);
        while (performance.now() < untilMs && !isServing() && !signal.aborted)
          await pause(LOOK_EVERY_MS, signal);
        if (signal.aborted) return;
        const failed = Promise.withResolvers<never>();
        // A server that is away is waited for, however long: telemetry must not wait for it in turn.
        connect().catch(failed.reject);
        measure(signal).catch(failed.reject);
        await beforeAbort(failed.promise, signal);
      },
    }),
    close: async () => {
      closed = true;
      for (const each of opened.reverse()) await each.close();
    },
  };
}
