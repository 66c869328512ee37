/**
 * Performs the core's effects: each prediction is published under a span that continues the trace of its batch; what was
 * refused goes to `rejects.predictor`. A bus that is slow gets fewer predictions, never old ones.
 */

import type { Context } from "@opentelemetry/api";
import type { Bus } from "@understudy/bus/bus";
import { publishMessage, reject } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Clock } from "@understudy/model/clock";
import { HLC_ZERO, mergeHlc, tickHlc } from "@understudy/model/hlc";
import { sendLatest } from "@understudy/service/send-latest";
import type { Effect, PredictionView } from "./decide.ts";
import { predictionToWire } from "./prediction.ts";
import type { Instruments } from "./telemetry.ts";

export const SERVICE = "predictor";

/** The batch an effect comes from: where it was heard and the trace it belongs to. */
export type Cause = { readonly subject: string; readonly trace: Context };

export type Performer = (effect: Effect, cause: Cause) => void;

export function createPerformer(parts: {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly source: string;
  readonly instruments: Instruments;
}): Performer {
  const { bus, instruments } = parts;
  const publish = createPublisher(parts);
  return (effect, cause) => {
    switch (effect.kind) {
      case "predict":
        return publish(effect.prediction, cause.trace);
      case "reject":
        instruments.rejected(effect.reason, cause.trace);
        // Never throws, and nobody waits for it.
        void reject(bus, SERVICE, { raw: cause, reason: effect.reason });
        return;
    }
  };
}

type Waiting = { readonly prediction: PredictionView; readonly parent: Context };

/** Each resource's predictions in their order; one that a newer overtook while the bus was slow is skipped. */
function createPublisher({
  bus,
  clock,
  source,
  instruments,
}: {
  bus: Bus;
  clock: Clock;
  source: string;
  instruments: Instruments;
}): (prediction: PredictionView, parent: Context) => void {
  let time = HLC_ZERO;

  const send = sendLatest<Waiting>(async ({ prediction, parent }) => {
    const nowMs = clock.nowMs();
    const merged = mergeHlc(time, { wallMs: prediction.sampledMs, counter: 0 }, { nowMs });
    time = merged.accepted ? merged.hlc : tickHlc(time, nowMs);
    const { span, within } = instruments.begin(prediction, parent);
    try {
      const message = predictionToWire(prediction, { time, source });
      await publishMessage(bus, TOPICS.predictions, { names: [prediction.resource], message, trace: within });
      instruments.published(prediction, clock.nowMs() - prediction.sampledMs);
    } catch (error) {
      instruments.publishFailed(error);
    } finally {
      span.end();
    }
  }, instruments.skipped);

  return (prediction, parent) => send(prediction.resource, { prediction, parent });
}
