/** What the core says of a resource, as the message for the bus. */

import { create } from "@bufbuild/protobuf";
import type { Hlc } from "@understudy/model/hlc";
import { type Prediction, PredictionSchema } from "@understudy/wire/gen/prediction";
import { headerToWire, hlcToWire } from "@understudy/wire/header";
import type { PredictionView } from "./decide.ts";

export function predictionToWire(
  { resource, stepMs, sampledMs, demand, capacity }: PredictionView,
  { time, source }: { time: Hlc; source: string },
): Prediction {
  const { alarm, scorecard } = demand;
  return create(PredictionSchema, {
    header: headerToWire({ resource, time, source }),
    ready: demand.ready,
    stepMs,
    quantileLevels: [...demand.levels],
    horizons: demand.horizons.map(({ aheadMs, meanRps, totalRps, movableRps }) => ({
      aheadMs: Math.round(aheadMs),
      meanRps,
      totalRps: [...totalRps],
      movableRps: [...movableRps],
    })),
    current: { ...demand.now },
    capacity: {
      instanceRps: capacity.instanceRps,
      bindingSignal: capacity.bindingSignal,
      curves: capacity.curves.map((curve) => ({ ...curve })),
      learned: capacity.learned,
    },
    alarm: { ...alarm },
    scorecard: {
      scored: BigInt(scorecard.scored),
      pinball95: scorecard.pinball95,
      coverage95: scorecard.coverage95,
      maeVsLastValue: scorecard.maeVsLastValue,
      periodMs: scorecard.periodSteps * stepMs,
      samplesRefused: BigInt(scorecard.refused),
      coverage: [...scorecard.coverage],
      falseAlarmRate: scorecard.falseAlarmRate,
      quietTicks: BigInt(scorecard.quietTicks),
    },
    sampledAt: hlcToWire({ wallMs: sampledMs, counter: 0 }),
  });
}
