/**
 * Who may take reads, how much of a warm instance each one counts for, and why not when it may not. Reasons have an order:
 * what is fenced never serves, what is dead cannot, what is too stale should not, and what is only suspect may still be
 * better than nobody. Health alone never ejects the last one.
 */

import type { Instance, Roles, Verdict } from "@understudy/model/instance";
import type { ResourceSpec } from "@understudy/model/policy";
import type { Freshness } from "./inputs.ts";

export const LIMITS = [
  "",
  "fenced",
  "not ready",
  "draining",
  "down",
  "stale",
  "suspect",
  "slow start",
] as const;
export type Limit = (typeof LIMITS)[number];

export type Candidate = {
  readonly instance: Instance;
  /** 1: a whole warm instance. 0: takes no reads. */
  readonly strength: number;
  readonly limitedBy: Limit;
};

/** A suspect that the others cannot replace is asked for half. */
const SUSPECT_STRENGTH = 0.5;
/** A cold cache halves an instance's speed. */
const COLD_STRENGTH = 0.5;

export type Seen = Freshness & { readonly seenAtMs: number };

export type Judged = {
  readonly candidates: readonly Candidate[];
  /** Not empty: a rule that keeps instances out was set aside, and why. */
  readonly panic: "" | "all suspect" | "only stale";
};

type Inputs = {
  readonly roles: Roles;
  readonly verdicts: ReadonlyMap<string, Verdict>;
  readonly freshness: ReadonlyMap<string, Seen>;
  readonly spec: {
    readonly routing: Pick<ResourceSpec["routing"], "maxStalenessMs" | "onlyStale">;
    readonly shadows: Pick<ResourceSpec["shadows"], "warmUpMs">;
  };
  /** What all instances together must carry now, in whole warm instances. */
  readonly neededStrength: number;
  readonly nowMs: number;
};

export function limitsOf(candidates: readonly Candidate[]): ReadonlyMap<string, Limit> {
  return new Map(candidates.map(({ instance, limitedBy }) => [instance.name, limitedBy]));
}

export function judgeCandidates(inputs: Inputs): Judged {
  const judged = inputs.roles.instances.map((instance) => ({ instance, limit: limitOf(instance, inputs) }));
  const sum = (limits: readonly Limit[]) =>
    judged
      .filter(({ limit }) => limits.includes(limit))
      .reduce((all, { instance }) => all + warmth(instance, inputs), 0);
  const healthy = sum([""]);
  // Overload makes everybody late. Moving its reads away from a suspect helps only when the others can carry them.
  const keepSuspects = healthy < inputs.neededStrength || healthy === 0;
  const nobody = healthy === 0 && !(keepSuspects && sum(["suspect"]) > 0);
  const keepStale = nobody && inputs.spec.routing.onlyStale === "serve";
  const candidates = judged.map(({ instance, limit }): Candidate => {
    if (limit === "") return awake(instance, inputs);
    if (limit === "suspect" && keepSuspects) {
      return { instance, strength: warmth(instance, inputs) * SUSPECT_STRENGTH, limitedBy: "suspect" };
    }
    if (limit === "stale" && keepStale)
      return { instance, strength: warmth(instance, inputs), limitedBy: "stale" };
    return { instance, strength: 0, limitedBy: limit };
  });
  const serves = candidates.some((candidate) => candidate.strength > 0);
  if (serves && healthy === 0) return { candidates, panic: keepStale ? "only stale" : "all suspect" };
  return { candidates, panic: "" };
}

function awake(instance: Instance, inputs: Inputs): Candidate {
  const strength = warmth(instance, inputs);
  return { instance, strength, limitedBy: strength < 1 ? "slow start" : "" };
}

function limitOf(instance: Instance, { roles, verdicts, freshness, spec, nowMs }: Inputs): Limit {
  if (instance.role === "fenced") return "fenced";
  if (instance.phase === "draining") return "draining";
  if (instance.phase !== "serving" || instance.address === "") return "not ready";
  const verdict = verdicts.get(instance.name);
  const about = verdict?.incarnation === instance.incarnation ? verdict.state : "up";
  if (about === "down") return "down";
  if (instance.name !== roles.primary && isStale(instance, { freshness, spec, nowMs })) return "stale";
  return about === "suspect" ? "suspect" : "";
}

/** Without news of a shadow its staleness grows: silence is no proof of freshness. */
function isStale(
  instance: Instance,
  { freshness, spec, nowMs }: Pick<Inputs, "freshness" | "spec" | "nowMs">,
): boolean {
  const seen = freshness.get(instance.name);
  if (!seen || seen.incarnation !== instance.incarnation || !seen.live) return true;
  return seen.lagMs + (nowMs - seen.seenAtMs) > spec.routing.maxStalenessMs;
}

function warmth(instance: Instance, { spec, nowMs }: Pick<Inputs, "spec" | "nowMs">): number {
  return nowMs < instance.readyAtMs + spec.shadows.warmUpMs ? COLD_STRENGTH : 1;
}
