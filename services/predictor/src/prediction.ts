/** What the core says of a resource, as the message for the bus. */

import { create } from "@bufbuild/protobuf";
import type { Hlc } from "@understudy/model/hlc";
import { type Prediction, PredictionSchema } from "@understudy/wire/gen/prediction";
import { headerToWire, hlcToWire } from "@understudy/wire/header";
import { linkToWire } from "@understudy/wire/link-forecast";
import type { PredictionView } from "./decide.ts";
import { type Curve, lineOf } from "./signal-curve.ts";

export function predictionToWire(
  { resource, stepMs, sampledMs, demand, capacity, utilisation, links }: PredictionView,
  { time, source }: { time: Hlc; source: string },
): Prediction {
  const { alarm, scorecard } = demand;
  return create(PredictionSchema, {
    header: headerToWire({ resource, time, source }),
    ready: demand.ready,
    stepMs,
    quantileLevels: [...demand.levels],
    horizons: demand.horizons.map(({ aheadMs, meanRps, totalRps, movableRps }, index) => ({
      aheadMs: Math.round(aheadMs),
      meanRps,
      totalRps: [...totalRps],
      movableRps: [...movableRps],
      utilisation: [...(utilisation[index] ?? [])],
    })),
    current: { ...demand.now },
    capacity: {
      instanceRps: capacity.instanceRps,
      bindingSignal: capacity.bindingSignal,
      curves: capacity.curves.map(curveToWire),
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
    links: links.map(linkToWire),
  });
}

function curveToWire(curve: Curve) {
  const { signal, family, coefficients, regressor, perRequest, from, to } = curve;
  const { target, carriesRps, error, rSquared, samples } = curve;
  const shape = {
    family,
    coefficients: [...coefficients],
    regressor,
    perRequest,
    seenFrom: from,
    seenTo: to,
  };
  return {
    signal,
    ...lineOf(curve),
    target,
    rSquared,
    samples,
    ...shape,
    carriesRps,
    validationError: error,
  };
}
