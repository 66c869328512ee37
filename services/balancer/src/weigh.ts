/** One resource's shares from what is known now, and the reason for them. */

import { type Candidate, judgeCandidates } from "./candidates.ts";
import { count, type Knowledge, perCent, type Reason, type Rule, reasonOf, rps } from "./decision.ts";
import { currentDemand, demandToServe, type Wanted } from "./policies.ts";
import {
  type Carrier,
  DEADBAND_PPM,
  holdShares,
  type Shares,
  shareDistance,
  shareReads,
  unshiftable,
} from "./share.ts";
import { follow, type Shift } from "./shift.ts";

export type Weighed = {
  readonly candidates: readonly Candidate[];
  readonly shares: ReadonlyMap<string, number>;
  readonly shift: Shift;
  readonly reason: Reason;
};

/** Needs known roles. */
export function weigh(state: Knowledge, nowMs: number): Weighed {
  const { spec, instanceRps } = state;
  const roles = state.roles!;
  const currentRps = currentDemand(state, nowMs);
  const saturationRps = instanceRps / spec.capacity.target;
  const judged = judgeCandidates({
    roles,
    verdicts: state.verdicts,
    freshness: state.freshness,
    spec,
    neededStrength: (currentRps ?? 0) / saturationRps,
    nowMs,
  });
  const carriers = judged.candidates.map(
    ({ instance, strength }): Carrier => ({
      name: instance.name,
      primary: instance.name === roles.primary,
      capacityRps: strength * instanceRps,
    }),
  );
  const weighed = { candidates: judged.candidates, carriers, panic: judged.panic };
  if (state.control.kind === "manual") return byHand(state, { ...weighed, readPpm: state.control.readPpm });
  if (state.control.kind === "paused") return held(state, { ...weighed, why: "weights are paused" });
  if (currentRps === undefined) return held(state, { ...weighed, why: "no fresh metrics" });
  return byDemand(state, { ...weighed, currentRps, nowMs });
}

type Carriers = {
  readonly candidates: readonly Candidate[];
  readonly carriers: readonly Carrier[];
  readonly panic: string;
};

function byHand(
  state: Knowledge,
  { candidates, carriers, readPpm }: Carriers & { readPpm: ReadonlyMap<string, number> },
): Weighed {
  const parts = holdShares(readPpm, carriers) ?? fallback(state, carriers);
  const text = "a plan was set by hand: held until resumed";
  return {
    candidates,
    shares: named(carriers, parts),
    shift: state.shift,
    reason: reasonOf("manual", text),
  };
}

function held(state: Knowledge, { candidates, carriers, why, panic }: Carriers & { why: string }): Weighed {
  const parts = holdShares(state.shares, carriers) ?? fallback(state, carriers);
  const reason = reasonOf(
    panic ? "panic" : "hold",
    `${why}: the weights are held${panic ? ` (${panic})` : ""}`,
  );
  return { candidates, shares: named(carriers, parts), shift: state.shift, reason };
}

/** Nothing to hold: reads go to the primary, and without it to whoever can carry them. */
function fallback({ shift }: Knowledge, carriers: readonly Carrier[]): readonly number[] {
  return shareReads({
    carriers,
    demandRps: shift.heldRps,
    movablePart: 1,
    maxShadowShare: 1,
    spread: shift.spread,
  }).readPpm;
}

function byDemand(
  state: Knowledge,
  { candidates, carriers, panic, currentRps, nowMs }: Carriers & { currentRps: number; nowMs: number },
): Weighed {
  const wanted = demandToServe(state, currentRps, nowMs);
  const primaryRps = carriers.find((carrier) => carrier.primary)?.capacityRps ?? 0;
  const shift = follow(state.shift, { demandRps: wanted.demandRps, primaryRps, nowMs });
  const demandRps = shift.heldRps;
  const spread = wanted.spread ?? shift.spread;
  const movablePart = state.observed?.movablePart ?? 1;
  const result = shareReads({
    carriers,
    demandRps,
    movablePart,
    maxShadowShare: state.spec.routing.maxShadowShare,
    spread,
  });
  const shares = steady(state, { candidates, shares: named(carriers, result.readPpm) });
  const share = result.shadowShare;
  // Demand that is only held is not there: it must not be reported as fitting nowhere.
  const unshiftableRps = unshiftable({ carriers, movablePart }, { demandRps: wanted.demandRps, share });
  const facts = { state, carriers, wanted, result, demandRps, currentRps, primaryRps, panic, unshiftableRps };
  return { candidates, shares, shift, reason: explain(facts) };
}

/** Small changes are not worth a new plan, except when somebody's standing has changed. */
function steady(
  state: Knowledge,
  { candidates, shares }: Pick<Weighed, "candidates" | "shares">,
): ReadonlyMap<string, number> {
  const sameStanding = candidates.every(
    ({ instance, limitedBy }) => state.limits.get(instance.name) === limitedBy,
  );
  return sameStanding && shareDistance(state.shares, shares) < DEADBAND_PPM ? state.shares : shares;
}

function named(carriers: readonly Carrier[], parts: readonly number[]): ReadonlyMap<string, number> {
  const serving = carriers.some((carrier) => carrier.capacityRps > 0);
  return new Map(carriers.map(({ name }, index) => [name, serving ? parts[index]! : 0]));
}

type Facts = {
  readonly state: Knowledge;
  readonly carriers: readonly Carrier[];
  readonly wanted: Wanted;
  readonly result: Shares;
  readonly demandRps: number;
  readonly currentRps: number;
  readonly primaryRps: number;
  readonly panic: string;
  readonly unshiftableRps: number;
};

function explain(facts: Facts): Reason {
  const { state, carriers, wanted, result, demandRps, currentRps, primaryRps } = facts;
  const shadows = carriers.filter((carrier) => !carrier.primary && carrier.capacityRps > 0);
  return {
    rule: ruleOf(facts),
    text: textOf(facts, shadows.length),
    inputs: {
      demandRps,
      currentRps,
      forecastRps: wanted.forecastRps ?? Number.NaN,
      leadMs: wanted.leadMs ?? Number.NaN,
      quantile: state.spec.forecast.quantile,
      movablePart: state.observed?.movablePart ?? 1,
      instanceRps: state.instanceRps,
      primaryRps,
      shadowsRps: shadows.reduce((sum, { capacityRps }) => sum + capacityRps, 0),
      maxShadowShare: state.spec.routing.maxShadowShare,
    },
    alternatives: [
      { rule: "needed", value: result.neededShare },
      { rule: "alike", value: result.shadowShare },
    ],
    unshiftableRps: facts.unshiftableRps,
  };
}

function ruleOf({ state, wanted, result, demandRps, currentRps, panic }: Facts): Rule {
  if (panic) return "panic";
  if (state.roles!.primary === "") return "failover";
  const { policy } = state.spec.forecast;
  if (policy === "static" || policy === "none") return policy;
  if (result.clipped) return "maxShadowShare";
  if (demandRps > wanted.demandRps) return "hold";
  return (wanted.forecastRps ?? 0) > currentRps ? "predictive" : "reactive";
}

function textOf(facts: Facts, shadows: number): string {
  const { state, carriers, result, demandRps, primaryRps, panic, unshiftableRps } = facts;
  const share = perCent(result.shadowShare);
  const to = count(shadows, "shadow");
  if (carriers.every((carrier) => carrier.capacityRps === 0)) return "nobody may take reads: they wait";
  if (panic) return `${panic}: ${share} of the reads to ${to} all the same`;
  if (state.roles!.primary === "") return `no primary: writes wait, ${share} of the reads to ${to}`;
  const demand = `${rps(demandRps)} ${sourceOf(facts)}`;
  const rest = unshiftableRps >= 1 ? `; ${Math.round(unshiftableRps)} fit nowhere` : "";
  if (result.shadowShare > 0) {
    return `${demand}, the primary carries ${Math.round(primaryRps)}: ${share} of the reads to ${to}, all loaded alike${rest}`;
  }
  const why =
    demandRps <= primaryRps
      ? `fit the primary (${rps(primaryRps)})`
      : shadows === 0
        ? "no shadow can help"
        : "no shift";
  return `${demand}: ${why}, all reads stay there${rest}`;
}

function sourceOf(facts: Facts): string {
  switch (ruleOf({ ...facts, result: { ...facts.result, clipped: false } })) {
    case "predictive":
      return `foreseen (quantile ${facts.state.spec.forecast.quantile})`;
    case "hold":
      return "held from a moment ago";
    default:
      return "are here";
  }
}
