/** The overload task over one series, and the opponent of the alarm. */

import { alarmsOf } from "@understudy/forecast/backtest";
import {
  type AlarmScore,
  type AlarmTask,
  quietTicks,
  scoreAlarms,
  usualThreshold,
} from "@understudy/forecast/overload-task";
import { warmUpSteps } from "./forecast-scores.ts";
import type { Series } from "./forecast-series.ts";

export type OverloadScore = AlarmScore & { readonly folder: string; readonly name: string };

export function scoreOverload(series: Series, falseAlarmBudget: number): OverloadScore {
  const task = taskOf(series);
  const raised = alarmsOf(series.values, { ...task, stepMs: series.stepMs, falseAlarmBudget });
  return { folder: series.folder, name: series.name, ...scoreAlarms(task, raised) };
}

/** An opponent helped by hindsight: alarm above that lower threshold which spends the budget on this very series. */
export function scoreLoweredThreshold(series: Series, budget: number): OverloadScore {
  const task = taskOf(series);
  const quiet = Float64Array.from(quietTicks(task), (step) => series.values[step]!).sort();
  const lowered = quiet[Math.ceil((1 - budget) * quiet.length) - 1] ?? task.threshold;
  const raised = Uint8Array.from(series.values, (value) => (value > lowered ? 1 : 0));
  return { folder: series.folder, name: series.name, ...scoreAlarms(task, raised) };
}

function taskOf(series: Series): AlarmTask {
  const from = warmUpSteps(series);
  return { values: series.values, threshold: usualThreshold(series.values, from), from };
}
