/**
 * The opponents of the forecast, each run online on the same samples. Where one has settings, those with the least
 * absolute error so far at that horizon are used: the grid is chosen online, for each horizon by itself.
 */

import type { Series } from "./forecast-series.ts";

export type Baseline = {
  readonly name: string;
  /** Takes the sample of one step; NaN when there was none. */
  observe(value: number): void;
  /** Writes a forecast for each horizon. */
  predict(into: Float64Array): void;
};

const ALPHAS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9];
const HOLT = [0.1, 0.3, 0.6].flatMap((alpha) =>
  [0.05, 0.2].flatMap((beta) => [0.9, 0.98].map((damping) => ({ alpha, beta, damping }))),
);
const LINE_POINTS = 30;
const PERIODS_MS = [60_000, 300_000, 3_600_000, 86_400_000];
const PERIOD_STEPS_MIN = 4;

export function createBaselines({ stepMs, values }: Series, horizons: readonly number[]): Baseline[] {
  const periods = PERIODS_MS.map((period) => Math.round(period / stepMs)).filter(
    (steps) => steps >= PERIOD_STEPS_MIN && steps < values.length * 0.3,
  );
  return [
    lastValue(),
    chosenOnline("ses", ALPHAS.map(smoothing), horizons),
    chosenOnline(
      "dampedHolt",
      HOLT.map((gains) => dampedTrend(gains, horizons)),
      horizons,
    ),
    ...(periods.length === 0
      ? []
      : [
          chosenOnline(
            "seasonalNaive",
            periods.map((period) => seasonalNaive(period, horizons)),
            horizons,
          ),
        ]),
    line(horizons),
  ];
}

type Candidate = Omit<Baseline, "name">;

function lastValue(): Baseline {
  let last = Number.NaN;
  return {
    name: "last",
    observe: (value) => {
      if (!Number.isNaN(value)) last = value;
    },
    predict: (into) => {
      into.fill(last);
    },
  };
}

function smoothing(alpha: number): Candidate {
  let level = Number.NaN;
  return {
    observe: (value) => {
      if (!Number.isNaN(value)) level = Number.isNaN(level) ? value : level + alpha * (value - level);
    },
    predict: (into) => {
      into.fill(level);
    },
  };
}

function dampedTrend(
  { alpha, beta, damping }: { alpha: number; beta: number; damping: number },
  horizons: readonly number[],
): Candidate {
  const reach = horizons.map((steps) => (damping * (1 - damping ** steps)) / (1 - damping));
  let level = Number.NaN;
  let trend = 0;
  return {
    observe: (value) => {
      if (Number.isNaN(value)) return;
      if (Number.isNaN(level)) level = value;
      const expected = level + damping * trend;
      const next = expected + alpha * (value - expected);
      trend = beta * (next - level) + (1 - beta) * damping * trend;
      level = next;
    },
    predict: (into) => {
      for (let h = 0; h < reach.length; h += 1) into[h] = level + reach[h]! * trend;
    },
  };
}

function seasonalNaive(period: number, horizons: readonly number[]): Candidate {
  const ring = new Float64Array(period).fill(Number.NaN);
  let steps = 0;
  let last = Number.NaN;
  return {
    observe: (value) => {
      if (!Number.isNaN(value)) {
        last = value;
        ring[steps % period] = value;
      }
      steps += 1;
    },
    predict: (into) => {
      for (let h = 0; h < horizons.length; h += 1) {
        const before = ring[(steps - 1 + horizons[h]!) % period]!;
        into[h] = Number.isNaN(before) ? last : before;
      }
    },
  };
}

function line(horizons: readonly number[]): Baseline {
  const points: number[] = [];
  return {
    name: "line",
    observe: (value) => {
      if (Number.isNaN(value)) return;
      points.push(value);
      if (points.length > LINE_POINTS) points.shift();
    },
    predict: (into) => {
      const n = points.length;
      const mean = points.reduce((sum, value) => sum + value, 0) / n;
      let [xy, xx] = [0, 0];
      for (let i = 0; i < n; i += 1) {
        const x = i - (n - 1) / 2;
        xy += x * points[i]!;
        xx += x * x;
      }
      const slope = xx > 0 ? xy / xx : 0;
      for (let h = 0; h < horizons.length; h += 1) into[h] = mean + slope * ((n - 1) / 2 + horizons[h]!);
    },
  };
}

/** Of several candidates, at each horizon the one with the least absolute error so far. */
function chosenOnline(name: string, candidates: readonly Candidate[], horizons: readonly number[]): Baseline {
  const width = horizons.length;
  const slots = horizons.at(-1)! + 1;
  const pending = candidates.map(() => new Float64Array(slots * width).fill(Number.NaN));
  const losses = candidates.map(() => new Float64Array(width));
  const newest = candidates.map(() => new Float64Array(width));
  let step = 0;
  return {
    name,
    observe: (value) => {
      step += 1;
      for (let c = 0; c < candidates.length; c += 1) {
        for (let h = 0; h < width; h += 1) {
          const made = step - horizons[h]!;
          const error = made < 0 ? Number.NaN : Math.abs(value - pending[c]![(made % slots) * width + h]!);
          if (!Number.isNaN(error)) losses[c]![h] = losses[c]![h]! + error;
        }
        candidates[c]!.observe(value);
        candidates[c]!.predict(newest[c]!);
        pending[c]!.set(newest[c]!, (step % slots) * width);
      }
    },
    predict: (into) => {
      for (let h = 0; h < width; h += 1) {
        let best = 0;
        for (let c = 1; c < candidates.length; c += 1) if (losses[c]![h]! < losses[best]![h]!) best = c;
        into[h] = newest[best]![h]!;
      }
    },
  };
}
