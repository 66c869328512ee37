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
  /** What repeats an earlier revision replaces it: the list is of decisions, not of repetitions. */
  const add = <T extends { readonly revision: bigint }>(list: T[], item: T, same: (last: T) => boolean) => {
    const last = list.at(-1);
    if (last && last.revision === item.revision && same(last)) list.pop();
    list.push(item);
    if (list.length > KEPT_MAX) list.shift();
  };
  return {
    addWeights: (resource, item) => add(of(resource).weights, item, (last) => last.epoch === item.epoch),
    addScale: (resource, item) => add(of(resource).scales, item, () => true),
    addApplied: (resource, item) =>
      add(
        of(resource).applied,
        item,
        (last) => last.epoch === item.epoch && last.verifiedBy === item.verifiedBy,
      ),
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
