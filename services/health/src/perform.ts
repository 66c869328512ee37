/**
 * Performs the core's effects: verdicts go to the watchers of the gRPC stream first, which failover listens to, and then to
 * the bus. A bus that is away delays nobody: the next repeat brings what it missed.
 */

import { type Context, ROOT_CONTEXT } from "@opentelemetry/api";
import type { Bus } from "@understudy/bus/bus";
import { publishMessage } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Clock } from "@understudy/model/clock";
import { HLC_ZERO, tickHlc } from "@understudy/model/hlc";
import type { Verdict } from "@understudy/model/instance";
import { sendLatest } from "@understudy/service/send-latest";
import { verdictToWire } from "@understudy/wire/roles";
import type { Board } from "./board.ts";
import { type Effect, type Judgement, keyOf } from "./decide.ts";
import type { Instruments } from "./telemetry.ts";
import type { Watchers } from "./watchers.ts";

export type Performer = (effect: Effect) => void;

export function createPerformer(parts: {
  readonly board: Board;
  readonly bus: Bus;
  readonly clock: Clock;
  /** The monotonic clock of the core. */
  readonly nowMs: () => number;
  readonly source: string;
  readonly watchers: () => Watchers;
  readonly instruments: Instruments;
}): Performer {
  const { board, clock, nowMs, instruments } = parts;
  const publish = createPublisher(parts);
  return (effect) => {
    switch (effect.kind) {
      case "watch":
        instruments.watched(effect.targets.length);
        return parts.watchers().set(effect.targets);
      case "say": {
        const verdict = toVerdict(effect.judgement, clock.nowMs() - nowMs());
        board.post(verdict);
        return publish({ verdict, trace: effect.changed ? instruments.changed(verdict) : ROOT_CONTEXT });
      }
      case "forget":
        return board.forget(effect.resource, effect.instance);
    }
  };
}

/** `wallOffsetMs`: wall time less monotonic time, now. */
export function toVerdict(judgement: Judgement, wallOffsetMs: number): Verdict {
  return { ...judgement, sinceMs: judgement.sinceMs + wallOffsetMs };
}

/** A slow bus gets fewer verdicts, never old ones. */
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
}): (news: News) => void {
  let time = HLC_ZERO;
  const send = sendLatest<News>(async ({ verdict, trace }) => {
    time = tickHlc(time, clock.nowMs());
    const message = verdictToWire(verdict, { time, source });
    try {
      await publishMessage(bus, TOPICS.health, {
        names: [verdict.resource, verdict.instance],
        message,
        trace,
      });
      instruments.published();
    } catch (error) {
      instruments.publishFailed(error as Error);
    }
  });
  return (news) => send(keyOf(news.verdict), news);
}

type News = { readonly verdict: Verdict; readonly trace: Context };
