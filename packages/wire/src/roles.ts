/**
 * Roles, instances and verdicts between the domain's words and the wire's. What comes in is distrusted here, once, for all
 * who act on it: names become file names and subjects, addresses are connected to, processes are looked at.
 */

import { create } from "@bufbuild/protobuf";
import { parseEndpoint } from "@understudy/model/endpoint";
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
import { asLabel } from "@understudy/model/names";
import {
  VerdictSchema,
  type Verdict as WireVerdict,
  VerdictState as WireVerdictState,
} from "@understudy/wire/gen/health";
import {
  InstanceSchema,
  type RoleChanged,
  RoleChangedSchema,
  type Instance as WireInstance,
  InstancePhase as WirePhase,
  Role as WireRole,
} from "@understudy/wire/gen/role";
import { headerToWire, hlcFromWire, hlcToWire } from "./header.ts";

/** A resource has tens of instances; far more than these is a mistake or an attack. */
const INSTANCES_MAX = 1_000;
const EVIDENCE_MAX = 16;
const DETAIL_LENGTH_MAX = 1_000;
const INCARNATION = /^[A-Za-z0-9_-]{1,64}$/;

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
const SIGNALS: ReadonlySet<string> = new Set<Evidence["signal"]>([
  "process",
  "http",
  "tcp",
  "exec",
  "balancer",
]);

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
    instances: roles.instances.map(instanceToWire),
  });
}

export function instanceToWire(instance: Instance): WireInstance {
  return create(InstanceSchema, {
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
  });
}

/** Throws a RangeError on words we do not have and on names, addresses and numbers that cannot be. */
export function rolesFromWire(wire: RoleChanged): Roles {
  if (wire.instances.length > INSTANCES_MAX)
    throw new RangeError(`${wire.instances.length} instances, at most ${INSTANCES_MAX}`);
  return {
    resource: asLabel(wire.header?.resource ?? "", "resource"),
    epoch: whole(wire.epoch, "epoch"),
    primary: wire.primary === "" ? "" : asLabel(wire.primary, "primary"),
    instances: wire.instances.map(instanceFromWire),
  };
}

/** Throws a RangeError, as rolesFromWire. */
export function instanceFromWire(wire: WireInstance): Instance {
  return {
    name: asLabel(wire.name, "instance"),
    incarnation: incarnation(wire.incarnation),
    host: asLabel(wire.host, "host"),
    role: known(ROLE_FROM_WIRE.get(wire.role), "role"),
    phase: known(PHASE_FROM_WIRE.get(wire.phase), "phase"),
    address: address(wire.address),
    gateAddress: address(wire.gateAddress),
    pid: wire.pid,
    pidStartTicks: whole(wire.pidStartTicks, "start of a process"),
    requestedAtMs: whole(wire.requestedAtMs, "time"),
    readyAtMs: whole(wire.readyAtMs, "time"),
  };
}

function incarnation(text: string): string {
  if (!INCARNATION.test(text)) throw new RangeError(`bad incarnation "${text.slice(0, 80)}"`);
  return text;
}

/** Empty before the instance is started. */
function address(text: string): string {
  if (text !== "" && !parseEndpoint(text)?.port)
    throw new RangeError(`bad address "${text.slice(0, 80)}", not host:port`);
  return text;
}

function whole(value: bigint, what: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) throw new RangeError(`bad ${what} ${value}`);
  return number;
}

export function verdictStateToWire(state: VerdictState): WireVerdictState {
  return VERDICT_TO_WIRE[state];
}

/** Throws a RangeError on a word that we do not have. */
export function verdictStateFromWire(wire: WireVerdictState): VerdictState {
  return known(VERDICT_FROM_WIRE.get(wire), "verdict");
}

export function verdictToWire(verdict: Verdict, about: { time: Hlc; source: string }): WireVerdict {
  return create(VerdictSchema, {
    header: headerToWire({ resource: verdict.resource, time: about.time, source: about.source }),
    instance: verdict.instance,
    incarnation: verdict.incarnation,
    state: verdictStateToWire(verdict.state),
    since: hlcToWire({ wallMs: verdict.sinceMs, counter: 0 }),
    evidence: verdict.evidence.map((item) => ({ ...item })),
  });
}

/** Throws a RangeError on words we do not have and on names and numbers that cannot be. */
export function verdictFromWire(wire: WireVerdict): Verdict {
  return {
    resource: asLabel(wire.header?.resource ?? "", "resource"),
    instance: asLabel(wire.instance, "instance"),
    incarnation: incarnation(wire.incarnation),
    state: verdictStateFromWire(wire.state),
    sinceMs: hlcFromWire(wire.since).wallMs,
    evidence: wire.evidence.slice(0, EVIDENCE_MAX).map(({ signal, alive, detail, ageMs }) => ({
      signal: known(SIGNALS.has(signal) ? (signal as Evidence["signal"]) : undefined, "signal"),
      alive,
      detail: detail.slice(0, DETAIL_LENGTH_MAX),
      ageMs,
    })),
  };
}
