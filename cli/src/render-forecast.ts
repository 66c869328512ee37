/** How good the forecast of a resource has been lately, in one line for people. */

import type { Prediction } from "@understudy/wire/gen/prediction";
import { durationOf } from "./recorded.ts";

export function renderForecast({ ready, scorecard, quantileLevels }: Prediction): string {
  if (!ready || !scorecard) return "forecast: warming up";
  const { periodMs, pinball95, coverage, falseAlarmRate, quietTicks } = scorecard;
  const covered = coverage.map((part, q) => `${figure(part)} of ${quantileLevels[q]}`);
  const parts = [
    periodMs > 0 ? `period ${durationOf(periodMs)}` : "no period",
    `pinball loss ${figure(pinball95)} of the last value's`,
    ...(covered.length > 0 ? [`covered ${covered.join(", ")}`] : []),
    ...(quietTicks > 0n ? [`false alarms in ${figure(falseAlarmRate)} of ${quietTicks} quiet steps`] : []),
  ];
  return `forecast: ${parts.join("; ")}`;
}

function figure(value: number): string {
  return Number.isFinite(value) ? value.toFixed(3) : "-";
}
