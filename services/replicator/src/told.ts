/** What the outside learns of a decision: the record on disk before anything else is done, the roles after it. */

import { type Effect, type Step, step } from "./events.ts";
import { keptOf } from "./record.ts";
import { leadsHere, type ResourceState, reigning } from "./resource-state.ts";
import { rolesOf } from "./roles.ts";

/** What is told depends on none of these. A field that is not here counts as told: forgetting one costs time, not news. */
const UNTOLD: ReadonlySet<string> = new Set([
  "store",
  "reading",
  "readAtBootMs",
  "leaseSeen",
  "promisedUntilBootMs",
  "lease",
  "renewing",
  "wish",
  "sealed",
  "joining",
  "inSyncChange",
  "inSyncUncertain",
  "saved",
  "saving",
  "tickedBootMs",
  "told",
  "waitingForPrimary",
] satisfies (keyof ResourceState)[]);

export function told(before: ResourceState, { next, effects }: Step): Step {
  if (!next.adopted || !next.authority) return { next, effects };
  // Most events change nothing of it, and comparing the texts of all instances each time took a tenth of this service.
  if (sameToOthers(before, next)) return { next, effects };
  const kept = keptOf(next);
  const roles = rolesOf(next);
  const text = {
    kept: JSON.stringify(kept),
    // Of what another host leads that host tells.
    roles: unsettled(next) || !leadsHere(next) ? next.told.roles : JSON.stringify(roles),
  };
  const first: Effect[] = text.kept === next.told.kept ? [] : [{ kind: "keep", kept }];
  const last: Effect[] =
    text.roles === next.told.roles ? [] : [{ kind: "publish-roles", roles, reason: reasonOf(next) }];
  return step({ ...next, told: text }, ...first, ...gates(before, next), ...effects, ...last);
}

function sameToOthers(before: ResourceState, next: ResourceState): boolean {
  const fields = Object.keys(next) as (keyof ResourceState)[];
  return fields.every((field) => UNTOLD.has(field) || next[field] === before[field]);
}

/** Its primary lives and is only being told so, by us or after our restart: "nobody" would be news, and wrong. */
function unsettled(state: ResourceState): boolean {
  const living = state.instances.some((each) => each.role === "primary" && each.stage.at !== "lost");
  return living && !reigning(state);
}

function reasonOf({ takeover }: ResourceState): string {
  switch (takeover.step) {
    case "idle":
      return "";
    case "blocked":
      return takeover.why;
    default:
      return takeover.reason;
  }
}

function gates(before: ResourceState, next: ResourceState): Effect[] {
  const names = (state: ResourceState) => new Set(state.instances.map((each) => each.name));
  const [had, has] = [names(before), names(next)];
  const opened = next.instances.filter(({ name }) => !had.has(name));
  return [
    ...opened.map(
      ({ name, gateAddress }): Effect => ({ kind: "open-gate", instance: name, address: gateAddress }),
    ),
    ...[...had]
      .filter((name) => !has.has(name))
      .map((name): Effect => ({ kind: "close-gate", instance: name })),
  ];
}
