/** Roles, instances and verdicts between the domain's words and the wire's. */

import { create } from "@bufbuild/protobuf";
import type { Hlc } from "@understudy/model/hlc";
import type {
  Evidence,
  Instance,
  InstancePhase,
  Role,
  Roles,
  Verdict,
  VerdictState,
} from "@understudy/model/instance";
import {
  VerdictSchema,
  type Verdict as WireVerdict,
  VerdictState as WireVerdictState,
} from "@understudy/wire/gen/health";
import {
  InstanceSchema,
  type RoleChanged,
  RoleChangedSchema,
  InstancePhase as WirePhase,
  Role as WireRole,
} from "@understudy/wire/gen/role";
import { headerToWire, hlcFromWire, hlcToWire } from "./header.ts";

const ROLE_TO_WIRE: Record<Role, WireRole> = {
  primary: WireRole.PRIMARY,
  shadow: WireRole.SHADOW,
  fenced: WireRole.FENCED,
};
const PHASE_TO_WIRE: Record<InstancePhase, WirePhase> = {
  seeding: WirePhase.SEEDING,
  starting: WirePhase.STARTING,
  serving: WirePhase.SERVING,
  draining: WirePhase.DRAINING,
  gone: WirePhase.GONE,
};
const VERDICT_TO_WIRE: Record<VerdictState, WireVerdictState> = {
  up: WireVerdictState.UP,
  suspect: WireVerdictState.SUSPECT,
  down: WireVerdictState.DOWN,
};

function reversed<K extends string, V>(table: Record<K, V>): Map<V, K> {
  return new Map((Object.keys(table) as K[]).map((key) => [table[key], key]));
}
const ROLE_FROM_WIRE = reversed(ROLE_TO_WIRE);
const PHASE_FROM_WIRE = reversed(PHASE_TO_WIRE);
const VERDICT_FROM_WIRE = reversed(VERDICT_TO_WIRE);

/** A value that a newer or hostile peer sent and we have no word for. */
function known<K>(value: K | undefined, what: string): K {
  if (value === undefined) throw new RangeError(`unknown ${what}`);
  return value;
}

export function rolesToWire(roles: Roles, about: { time: Hlc; source: string; reason: string }): RoleChanged {
  return create(RoleChangedSchema, {
    header: headerToWire({ resource: roles.resource, time: about.time, source: about.source }),
    epoch: BigInt(roles.epoch),
    primary: roles.primary,
    reason: about.reason,
    instances: roles.instances.map((instance) =>
      create(InstanceSchema, {
        name: instance.name,
        incarnation: instance.incarnation,
        host: instance.host,
        role: ROLE_TO_WIRE[instance.role],
        phase: PHASE_TO_WIRE[instance.phase],
        address: instance.address,
        gateAddress: instance.gateAddress,
        pid: instance.pid,
        pidStartTicks: BigInt(instance.pidStartTicks),
        requestedAtMs: BigInt(Math.floor(instance.requestedAtMs)),
        readyAtMs: BigInt(Math.floor(instance.readyAtMs)),
      }),
    ),
  });
}

/** Throws a RangeError on roles or phases we have no word for. */
export function rolesFromWire(wire: RoleChanged): Roles {
  return {
    resource: wire.header?.resource ?? "",
    epoch: Number(wire.epoch),
    primary: wire.primary,
    instances: wire.instances.map(
      (instance): Instance => ({
        name: instance.name,
        incarnation: instance.incarnation,
        host: instance.host,
        role: known(ROLE_FROM_WIRE.get(instance.role), "role"),
        phase: known(PHASE_FROM_WIRE.get(instance.phase), "phase"),
        address: instance.address,
        gateAddress: instance.gateAddress,
        pid: instance.pid,
        pidStartTicks: Number(instance.pidStartTicks),
        requestedAtMs: Number(instance.requestedAtMs),
        readyAtMs: Number(instance.readyAtMs),
      }),
    ),
  };
}

export function verdictToWire(verdict: Verdict, about: { time: Hlc; source: string }): WireVerdict {
  return create(VerdictSchema, {
    header: headerToWire({ resource: verdict.resource, time: about.time, source: about.source }),
    instance: verdict.instance,
    incarnation: verdict.incarnation,
    state: VERDICT_TO_WIRE[verdict.state],
    since: hlcToWire({ wallMs: verdict.sinceMs, counter: 0 }),
    evidence: verdict.evidence.map((item) => ({ ...item })),
  });
}

/** Throws a RangeError on a state we have no word for. */
export function verdictFromWire(wire: WireVerdict): Verdict {
  return {
    resource: wire.header?.resource ?? "",
    instance: wire.instance,
    incarnation: wire.incarnation,
    state: known(VERDICT_FROM_WIRE.get(wire.state), "verdict"),
    sinceMs: hlcFromWire(wire.since).wallMs,
    evidence: wire.evidence.map(({ signal, alive, detail, ageMs }) => ({
      signal: signal as Evidence["signal"],
      alive,
      detail,
      ageMs,
    })),
  };
}
