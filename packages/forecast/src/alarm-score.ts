/** How often the alarm stood although nothing came: counted when a tick's horizon has passed, so that nothing is guessed. */

import type { State } from "./state.ts";

/** Part of the past that each further quiet tick leaves: about the last 5,000 count. */
const MEMORY = 0.9998;

/** Fields of the part "alarmScore". */
const QUIET = 0;
const WEIGHT = 1;
const FALSE = 2;

export type AlarmScores = {
  /** Ticks below the threshold after which nothing exceeded it within the longest horizon. */
  readonly quietTicks: number;
  /** The part of them, of late, that had an alarm; NaN until there was one. */
  readonly falseAlarmRate: number;
};

/** One tick whose outcome is known: `quiet` when the threshold was not exceeded in its horizon, `raised` when it had an alarm. */
export function addJudged(
  { numbers, plan }: State,
  series: number,
  { quiet, raised }: { quiet: boolean; raised: boolean },
): void {
  if (!quiet) return;
  const at = series * plan.numbers + plan.at.alarmScore;
  numbers[at + QUIET] = numbers[at + QUIET]! + 1;
  numbers[at + WEIGHT] = MEMORY * numbers[at + WEIGHT]! + 1;
  numbers[at + FALSE] = MEMORY * numbers[at + FALSE]! + (raised ? 1 : 0);
}

export function readAlarmScores({ numbers, plan }: State, series: number): AlarmScores {
  const at = series * plan.numbers + plan.at.alarmScore;
  const weight = numbers[at + WEIGHT]!;
  return {
    quietTicks: numbers[at + QUIET]!,
    falseAlarmRate: weight > 0 ? numbers[at + FALSE]! / weight : Number.NaN,
  };
}
