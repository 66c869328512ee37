/**
 * What goes to the bus, without anybody waiting for it. Most of it is a level: only the newest per subject matters, one is
 * on its way at a time, and what a bus that is away did not take is not kept, for it is said again within a second.
 * The timeline is different: each of its events is kept, up to a bound, until the bus takes it.
 */

import { BusError } from "@understudy/bus/bus";
import { sendLatest } from "@understudy/service/send-latest";
import type { Instruments } from "./telemetry.ts";

const EVENTS_MAX = 200;
const RETRY_MS = 500;

type Send = () => Promise<void>;

export type Outbox = {
  level(key: string, send: Send): void;
  event(send: Send): void;
  /** Events that wait. */
  waiting(): number;
  close(): void;
};

export function openOutbox(instruments: Pick<Instruments, "published" | "publishFailed">): Outbox {
  const level = sendLatest<Send>(async (send) => void (await attempt(send)));
  const events: Send[] = [];
  let draining = false;
  let closed = false;
  let retry: NodeJS.Timeout | undefined;

  /** True when it needs not be sent again. */
  async function attempt(send: Send): Promise<boolean> {
    try {
      await send();
      instruments.published();
      return true;
    } catch (error) {
      instruments.publishFailed(error);
      // What the bus refuses today it refuses tomorrow: it must not hold up the rest.
      return error instanceof BusError && error.code === "refused";
    }
  }

  async function drain(): Promise<void> {
    if (draining || closed) return;
    clearTimeout(retry);
    draining = true;
    let taken = true;
    while (taken && events.length > 0) {
      taken = await attempt(events[0]!);
      if (taken) events.shift();
    }
    draining = false;
    if (!taken && !closed) retry = setTimeout(() => void drain(), RETRY_MS);
  }

  return {
    level,
    event(send) {
      // The oldest goes: the newest say what state things are in.
      if (events.length >= EVENTS_MAX) events.splice(draining ? 1 : 0, 1);
      events.push(send);
      void drain();
    },
    waiting: () => events.length,
    close: () => {
      closed = true;
      clearTimeout(retry);
    },
  };
}
