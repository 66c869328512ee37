/** The last decisions of each resource, so that `understudy explain` can show them. Bounded. */

import type { LbApplied } from "@understudy/wire/gen/lb";
import type { ScaleDecision, WeightDecision } from "@understudy/wire/gen/weight";

const KEPT_MAX = 100;

type Kept = {
  readonly weights: WeightDecision[];
  readonly scales: ScaleDecision[];
  readonly applied: LbApplied[];
};

export type History = {
  addWeights(resource: string, decision: WeightDecision): void;
  addScale(resource: string, decision: ScaleDecision): void;
  addApplied(resource: string, applied: LbApplied): void;
  /** The newest last; undefined when nothing was ever decided about it. */
  last(resource: string, count: number): Kept | undefined;
};

export function createHistory(): History {
  const kept = new Map<string, Kept>();
  const of = (resource: string): Kept => {
    const one = kept.get(resource) ?? { weights: [], scales: [], applied: [] };
    kept.set(resource, one);
    return one;
  };
  /** What repeats an earlier item replaces it, but for the first `apart` of them: the list is not of repetitions. */
  const add = <T>(list: T[], item: T, { isSame, apart }: { isSame: (last: T) => boolean; apart: number }) => {
    if (list.length > apart && list.slice(-1 - apart).every(isSame)) list.pop();
    list.push(item);
    if (list.length > KEPT_MAX) list.shift();
  };
  return {
    // What changed the plan says why; its newest repetition says why it still stands.
    addWeights: (resource, item) =>
      add(of(resource).weights, item, {
        isSame: (last) => last.revision === item.revision && last.epoch === item.epoch,
        apart: 1,
      }),
    addScale: (resource, item) =>
      add(of(resource).scales, item, { isSame: (last) => last.revision === item.revision, apart: 1 }),
    addApplied: (resource, item) =>
      add(of(resource).applied, item, {
        isSame: (last) =>
          last.revision === item.revision && last.epoch === item.epoch && last.verifiedBy === item.verifiedBy,
        apart: 0,
      }),
    last(resource, count) {
      const one = kept.get(resource);
      if (!one) return undefined;
      return {
        weights: one.weights.slice(-count),
        scales: one.scales.slice(-count),
        applied: one.applied.slice(-count),
      };
    },
  };
}
