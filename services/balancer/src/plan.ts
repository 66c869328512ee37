/** From roles and shares to the whole plan of the pool. Writes follow the roles alone, whatever the shares say. */

import type { Instance, Roles } from "@understudy/model/instance";
import type { Plan, PlanTarget } from "@understudy/traffic/driver";

/** `readPpm` by instance; who is not in it gets none. */
export function targetsOf(
  roles: Roles,
  { readPpm, dead }: { readPpm: ReadonlyMap<string, number>; dead: ReadonlySet<string> },
): readonly PlanTarget[] {
  return roles.instances
    .filter((instance) => isTarget(instance, { roles, dead }))
    .map((instance) => {
      const drain = instance.phase === "draining";
      return {
        instance: instance.name,
        address: instance.address,
        gateAddress: instance.gateAddress,
        readPpm: drain ? 0 : (readPpm.get(instance.name) ?? 0),
        writes: takesWrites(instance, roles),
        drain,
      };
    });
}

/** Only the primary of the epoch in force, and nobody while there is none. A gate that could close it must exist. */
function takesWrites(instance: Instance, roles: Roles): boolean {
  return (
    roles.primary !== "" &&
    instance.name === roles.primary &&
    instance.role === "primary" &&
    instance.gateAddress !== ""
  );
}

function isTarget(instance: Instance, { roles, dead }: { roles: Roles; dead: ReadonlySet<string> }): boolean {
  if (instance.role === "fenced" || instance.address === "") return false;
  // A dead primary keeps the writes until the roles say otherwise: they wait at its closed gate either way.
  if (takesWrites(instance, roles)) return instance.phase !== "gone";
  if (dead.has(instance.name)) return false;
  return instance.phase === "serving" || instance.phase === "draining";
}

export function sameTargets(a: readonly PlanTarget[], b: readonly PlanTarget[]): boolean {
  if (a.length !== b.length) return false;
  const byName = new Map(b.map((target) => [target.instance, target]));
  return a.every((target) => {
    const other = byName.get(target.instance);
    return other !== undefined && FIELDS.every((field) => target[field] === other[field]);
  });
}

const FIELDS = ["address", "gateAddress", "readPpm", "writes", "drain"] as const;

/** The next plan: the one before when nothing differs, so that it can be applied again at no cost. */
export function nextPlan(
  before: Plan | undefined,
  wanted: { readonly pool: string; readonly epoch: number; readonly targets: readonly PlanTarget[] },
): { readonly plan: Plan; readonly changed: boolean } {
  const same = before && before.epoch === wanted.epoch && sameTargets(before.targets, wanted.targets);
  if (same) return { plan: before, changed: false };
  return { plan: { ...wanted, revision: (before?.revision ?? 0) + 1 }, changed: true };
}
