/**
 * What goes to the bus: nobody waits for it. While the bus is away the newest message per subject is kept, events in their
 * order, all within a bound; what does not fit is the oldest.
 */

import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Context } from "@opentelemetry/api";
import type { Bus } from "@understudy/bus/bus";
import { publishMessage } from "@understudy/bus/messages";
import type { Topic } from "@understudy/bus/topics";
import { beforeAbort, pause } from "@understudy/model/pause";

const WAITING_MAX = 500;
const RETRY_MS = 200;

export type Outgoing<S extends DescMessage> = {
  readonly names: string[];
  readonly message: MessageShape<S>;
  readonly trace: Context;
};

export type Outbox = {
  /** Replaces what still waits for the same subject, unless `every`: then each one counts. */
  put<S extends DescMessage>(topic: Topic<S>, outgoing: Outgoing<S>, options?: { every: boolean }): void;
  waiting(): number;
  run(signal: AbortSignal): Promise<void>;
};

export function createOutbox(bus: Bus | Promise<Bus>): Outbox {
  const waiting = new Map<string, () => Promise<void>>();
  let counted = 0;
  let wake = (): void => undefined;

  async function sendFirst(signal: AbortSignal): Promise<void> {
    const [key, send] = waiting.entries().next().value!;
    try {
      await send();
      // While it was being sent a newer one may have taken its place.
      if (waiting.get(key) === send) waiting.delete(key);
    } catch {
      // The bus is away; its own connection says so. The message stays, or a newer one.
      await pause(RETRY_MS, signal);
    }
  }

  return {
    put: (topic, outgoing, { every } = { every: false }) => {
      counted += 1;
      const key = `${topic.filter} ${outgoing.names.join(".")}${every ? ` ${counted}` : ""}`;
      waiting.set(key, async () => publishMessage(await bus, topic, outgoing));
      if (waiting.size > WAITING_MAX) waiting.delete(waiting.keys().next().value!);
      wake();
    },
    waiting: () => waiting.size,
    run: async (signal) => {
      signal.addEventListener("abort", () => wake(), { once: true });
      await beforeAbort(Promise.resolve(bus), signal);
      while (!signal.aborted) {
        if (waiting.size > 0) await sendFirst(signal);
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    },
  };
}
