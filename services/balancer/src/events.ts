/** What the balancer hears and what it asks of its shell. */

import type { Roles, Verdict } from "@understudy/model/instance";
import type { Configuration } from "@understudy/model/policy";
import type { Plan } from "@understudy/traffic/driver";
import type { Notice, ScaleDecision, WeightDecision } from "./decision.ts";
import type { Freshness, Load, Prediction } from "./inputs.ts";
import type { ResourceState } from "./resource-state.ts";

export type Event =
  | { readonly kind: "configured"; readonly configuration: Configuration }
  /** What the load balancer itself says is in force; undefined: nothing since it started. */
  | { readonly kind: "recovered"; readonly pool: string; readonly plan: Plan | undefined }
  | { readonly kind: "roles"; readonly roles: Roles }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "freshness"; readonly freshness: Freshness }
  | { readonly kind: "prediction"; readonly prediction: Prediction }
  | { readonly kind: "load"; readonly load: Load }
  | { readonly kind: "tick" }
  | { readonly kind: "verified"; readonly resource: string; readonly worstPpm: number }
  | { readonly kind: "paused"; readonly resource: string }
  | { readonly kind: "resumed"; readonly resource: string }
  | { readonly kind: "manual"; readonly resource: string; readonly readPpm: ReadonlyMap<string, number> };

export type Effect =
  /** The whole desired state of a pool; `sampledAtMs` 0 when no new sample led to it. */
  | { readonly kind: "apply"; readonly resource: string; readonly plan: Plan; readonly sampledAtMs: number }
  | { readonly kind: "say-weights"; readonly decision: WeightDecision }
  | { readonly kind: "say-plan"; readonly resource: string; readonly plan: Plan }
  | { readonly kind: "say-scale"; readonly decision: ScaleDecision }
  | { readonly kind: "notice"; readonly notice: Notice };

/** By resource. */
export type State = ReadonlyMap<string, ResourceState>;

export type Decision = { readonly next: State; readonly effects: readonly Effect[] };
