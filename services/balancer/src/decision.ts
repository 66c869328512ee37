/** What was decided and why, in values that can be shown, published and replayed. */

import type { ResourceSpec } from "@understudy/model/policy";
import type { Limit } from "./candidates.ts";
import type { ResourceState } from "./resource-state.ts";

export type Rule =
  | "predictive"
  | "reactive"
  | "hold"
  | "failover"
  | "maxShadowShare"
  | "floor"
  | "panic"
  | "static"
  | "none"
  | "manual";

export type Reason = {
  readonly rule: Rule;
  /** One sentence for people. */
  readonly text: string;
  readonly inputs: Readonly<Record<string, number>>;
  readonly alternatives: readonly { readonly rule: string; readonly value: number }[];
  readonly unshiftableRps: number;
};

export type InstanceShare = {
  readonly instance: string;
  readonly readPpm: number;
  readonly writes: boolean;
  readonly limitedBy: Limit;
};

/** What of understudy.yaml the shares depend on. */
export type Settings = {
  readonly capacity: Pick<ResourceSpec["capacity"], "target">;
  readonly routing: Pick<ResourceSpec["routing"], "maxShadowShare" | "maxStalenessMs" | "onlyStale">;
  readonly shadows: Pick<ResourceSpec["shadows"], "warmUpMs">;
  readonly forecast: Pick<ResourceSpec["forecast"], "policy" | "quantile">;
};

/** All that a decision about shares looks at, and nothing else: whoever has it can make the decision again. */
export type Knowledge = { readonly spec: Settings } & Pick<
  ResourceState,
  | "roles"
  | "verdicts"
  | "freshness"
  | "prediction"
  | "instanceRps"
  | "observed"
  | "shift"
  | "control"
  | "shares"
  | "limits"
>;

export type DecisionInputs = {
  readonly decidedAtMs: number;
  /** As it was before the decision. */
  readonly known: Knowledge;
  /** What each instance was taken to carry, requests per second. */
  readonly capacityRps: ReadonlyMap<string, number>;
};

export type WeightDecision = {
  readonly resource: string;
  readonly pool: string;
  readonly revision: number;
  readonly epoch: number;
  readonly shares: readonly InstanceShare[];
  readonly reason: Reason;
  /** When the newest sample behind it was taken; 0: there was none. */
  readonly sampledAtMs: number;
  readonly inputs: DecisionInputs;
};

export type ScaleDecision = {
  readonly resource: string;
  readonly revision: number;
  readonly wantedShadows: number;
  readonly presentShadows: number;
  readonly reason: Reason;
};

/** Something for the timeline. */
export type Notice = {
  readonly resource: string;
  readonly what:
    | "shift"
    | "return"
    | "scale.out"
    | "scale.in"
    | "writes.moved"
    | "panic"
    | "traffic.disobeys"
    | "apply.failed";
  readonly text: string;
  readonly instance: string;
};

export function reasonOf(rule: Rule, text: string, inputs: Readonly<Record<string, number>> = {}): Reason {
  return { rule, text, inputs, alternatives: [], unshiftableRps: 0 };
}

export function perCent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

export function rps(value: number): string {
  return `${Math.round(value)} requests/s`;
}

export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
