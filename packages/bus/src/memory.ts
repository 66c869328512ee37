/** The bus inside one process, for tests: same contract, no server. */

import { type Bus, BusError, type BusMessage, type FollowOptions } from "./bus.ts";
import { streamOf } from "./topics.ts";

/** Messages that wait for one slow follower; beyond it the oldest go, as a stream's bounds would do. */
const WAITING_MAX = 10_000;

export type MemoryBus = Bus & {
  /** Simulates a server that is away: publishing throws, followers wait. */
  setConnected(up: boolean): void;
};

type Follower = { readonly filter: string; readonly waiting: BusMessage[]; wake(): void };

export function memoryBus(): MemoryBus {
  const lastBySubject = new Map<string, BusMessage>();
  const followers = new Set<Follower>();
  let up = true;
  let closed = false;

  return {
    async publish(subject, data, headers = {}) {
      if (closed) throw new BusError("closed", "the bus is closed");
      if (!up) throw new BusError("timeout", `publish ${subject}: the bus is away`);
      streamOf(subject);
      const message = { subject, data, headers };
      lastBySubject.set(subject, message);
      for (const follower of followers) if (matches(follower.filter, subject)) offer(follower, message);
    },
    follow(filter, options) {
      streamOf(filter);
      const follower: Follower = { filter, waiting: [], wake: () => undefined };
      if (options.from === "last") {
        for (const message of lastBySubject.values())
          if (matches(filter, message.subject)) offer(follower, message);
      }
      followers.add(follower);
      return drain(follower, options, () => followers.delete(follower));
    },
    last: async (subject) => lastBySubject.get(subject),
    connected: () => up && !closed,
    setConnected: (isUp) => {
      up = isUp;
    },
    close: async () => {
      closed = true;
      for (const follower of followers) follower.wake();
      followers.clear();
    },
  };
}

function offer(follower: Follower, message: BusMessage): void {
  follower.waiting.push(message);
  if (follower.waiting.length > WAITING_MAX) follower.waiting.shift();
  follower.wake();
}

async function* drain(
  follower: Follower,
  { signal }: FollowOptions,
  end: () => void,
): AsyncGenerator<BusMessage> {
  const aborted = () => follower.wake();
  signal.addEventListener("abort", aborted);
  try {
    while (!signal.aborted) {
      const next = follower.waiting.shift();
      if (next) yield next;
      else
        await new Promise<void>((resolve) => {
          follower.wake = resolve;
          if (signal.aborted) resolve();
        });
    }
  } finally {
    signal.removeEventListener("abort", aborted);
    end();
  }
}

/** NATS' own matching of "*": one word. */
export function matches(filter: string, subject: string): boolean {
  const wanted = filter.split(".");
  const words = subject.split(".");
  return (
    wanted.length === words.length && wanted.every((word, index) => word === "*" || word === words[index])
  );
}
