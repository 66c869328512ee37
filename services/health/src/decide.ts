/**
 * The core of the health service: which instances to watch, what each signal means for them, and which verdicts to say.
 * Event in; the next state and the effects out. Times are of one monotonic clock.
 */

import type { Evidence, Instance, Roles, VerdictState } from "@understudy/model/instance";
import type { Configuration, ResourceSpec } from "@understudy/model/policy";
import { evidenceOf, excuse, type JudgePolicy, judge, newPulse, observe, type Pulse } from "./judge.ts";
import type { ProbeKind, Signal } from "./signal.ts";

/** Each verdict is said again at least this often: who listens can tell an old verdict from a dead health service. */
export const REPEAT_MS = 1000;
/** However long somebody announces, we stay blind for no longer than this. */
export const SILENT_MAX_MS = 10_000;

export type HealthSpec = ResourceSpec["health"];

/** What the shell is to look at; with a new incarnation, address or process it starts afresh. */
export type Target = {
  readonly resource: string;
  readonly instance: string;
  readonly incarnation: string;
  readonly address: string;
  /** Undefined when it runs on another host, or is no process. */
  readonly process: { readonly pid: number; readonly pidStartTicks: number } | undefined;
  readonly health: HealthSpec;
};

type Watched = {
  readonly target: Target;
  readonly host: string;
  readonly policy: JudgePolicy;
  readonly pulse: Pulse;
  readonly saidMs: number;
};

export type State = {
  /** Name of the host we run on. */
  readonly host: string;
  /** Undefined until a configuration came: nobody is known, which is not the same as nobody being there. */
  readonly specs: ReadonlyMap<string, HealthSpec> | undefined;
  readonly roles: ReadonlyMap<string, Roles>;
  readonly watched: ReadonlyMap<string, Watched>;
  /** When each host last answered anything. */
  readonly heardMs: ReadonlyMap<string, number>;
};

export type Event =
  | { readonly kind: "configured"; readonly configuration: Configuration }
  | { readonly kind: "roles"; readonly roles: Roles }
  | { readonly kind: "signal"; readonly about: About; readonly signal: Signal }
  | {
      readonly kind: "announced";
      readonly resource: string;
      readonly instance: string;
      readonly silentMs: number;
      readonly reason: string;
    }
  | { readonly kind: "tick" };

export type About = Pick<Target, "resource" | "instance" | "incarnation">;

/** A verdict as the core knows it: `sinceMs` is still of the monotonic clock. */
export type Judgement = About & {
  readonly state: VerdictState;
  readonly sinceMs: number;
  readonly evidence: readonly Evidence[];
};

export type Effect =
  /** All that is to be watched from now on. */
  | { readonly kind: "watch"; readonly targets: readonly Target[] }
  | { readonly kind: "say"; readonly judgement: Judgement; readonly changed: boolean }
  | { readonly kind: "forget"; readonly resource: string; readonly instance: string };

export type Decision = { readonly next: State; readonly effects: readonly Effect[] };

export function newState(host: string): State {
  return { host, specs: undefined, roles: new Map(), watched: new Map(), heardMs: new Map() };
}

export function decide(state: State, event: Event, nowMs: number): Decision {
  switch (event.kind) {
    case "configured": {
      const specs = new Map(event.configuration.resources.map(({ name, health }) => [name, health]));
      // Epochs of a resource that comes back later may begin anew.
      const roles = new Map([...state.roles].filter(([name]) => specs.has(name)));
      return reconcile({ ...state, specs, roles }, nowMs);
    }
    case "roles": {
      const { roles } = event;
      // A replicator that once led may speak again with an old voice.
      if (roles.epoch < (state.roles.get(roles.resource)?.epoch ?? 0)) return { next: state, effects: [] };
      return reconcile({ ...state, roles: new Map(state.roles).set(roles.resource, roles) }, nowMs);
    }
    case "signal":
      return takeSignal(state, event, nowMs);
    case "announced":
      return takeAnnouncement(state, event, nowMs);
    case "tick":
      return judgeAll(state, nowMs);
  }
}

/** Brings the watched instances in line with configuration and roles. */
function reconcile(state: State, nowMs: number): Decision {
  const watched = new Map<string, Watched>();
  for (const roles of state.roles.values()) {
    const health = state.specs?.get(roles.resource);
    if (!health) continue;
    for (const instance of roles.instances) {
      if (!isWatchable(instance)) continue;
      const key = keyOf({ resource: roles.resource, instance: instance.name });
      watched.set(key, watch(state, { instance, resource: roles.resource, health, nowMs }));
    }
  }
  const effects: Effect[] = [...state.watched]
    .filter(([key]) => !watched.has(key))
    .map(([, { target }]) => ({ kind: "forget", resource: target.resource, instance: target.instance }));
  effects.push({ kind: "watch", targets: [...watched.values()].map(({ target }) => target) });
  return { next: { ...state, watched }, effects };
}

function isWatchable({ phase, role, address }: Instance): boolean {
  return address !== "" && role !== "fenced" && phase !== "seeding" && phase !== "gone";
}

function watch(
  state: State,
  {
    instance,
    resource,
    health,
    nowMs,
  }: { instance: Instance; resource: string; health: HealthSpec; nowMs: number },
): Watched {
  const local = instance.host === state.host && instance.pid > 0;
  const target: Target = {
    resource,
    instance: instance.name,
    incarnation: instance.incarnation,
    address: instance.address,
    process: local ? { pid: instance.pid, pidStartTicks: instance.pidStartTicks } : undefined,
    health,
  };
  const present = state.watched.get(keyOf(target));
  const same = present?.target.incarnation === target.incarnation ? present : undefined;
  const known = same?.pulse ?? newPulse(nowMs);
  const sameProcess = same?.target.process?.pid === target.process?.pid;
  const pulse = {
    ...known,
    served: known.served || instance.phase === "serving" || instance.phase === "draining",
    process: sameProcess ? known.process : undefined,
  };
  const policy = { probes: probesOf(health), rise: health.rise, fall: health.fall };
  return { target, host: instance.host, policy, pulse, saidMs: same?.saidMs ?? -Infinity };
}

export function probesOf(health: HealthSpec): ProbeKind[] {
  const kinds: ProbeKind[] = [];
  if (health.http !== "") kinds.push("http");
  if (health.tcp) kinds.push("tcp");
  if (health.exec.length > 0) kinds.push("exec");
  return kinds;
}

function takeSignal(
  state: State,
  { about, signal }: Extract<Event, { kind: "signal" }>,
  nowMs: number,
): Decision {
  const watched = state.watched.get(keyOf(about));
  // A probe that was under way when the instance was made again says nothing about the new one.
  if (watched?.target.incarnation !== about.incarnation) return { next: state, effects: [] };
  const heardMs = isFromHost(signal) ? new Map(state.heardMs).set(watched.host, nowMs) : state.heardMs;
  const pulse = observe(watched.pulse, signal, nowMs);
  return put({ ...state, heardMs }, { ...watched, pulse }, nowMs);
}

/** Even a refusal is an answer of the host. */
function isFromHost(signal: Signal): boolean {
  if (signal.from === "process") return false;
  const { outcome } = signal;
  return outcome.kind !== "late" || outcome.connected;
}

function takeAnnouncement(
  state: State,
  event: Extract<Event, { kind: "announced" }>,
  nowMs: number,
): Decision {
  const watched = state.watched.get(keyOf(event));
  if (!watched) return { next: state, effects: [] };
  // A probe sent during the silence may report just after it.
  const untilMs = nowMs + Math.min(event.silentMs, SILENT_MAX_MS) + watched.target.health.timeoutMs;
  const pulse = excuse(watched.pulse, untilMs, event.reason);
  return put(state, { ...watched, pulse }, nowMs);
}

function judgeAll(state: State, nowMs: number): Decision {
  const judged = [...state.watched].map(([key, watched]) => [key, judgeOne(state, watched, nowMs)] as const);
  const watched = new Map(judged.map(([key, { next }]) => [key, next]));
  return { next: { ...state, watched }, effects: judged.flatMap(([, { effects }]) => effects) };
}

function put(state: State, watched: Watched, nowMs: number): Decision {
  const { next, effects } = judgeOne(state, watched, nowMs);
  return { next: { ...state, watched: new Map(state.watched).set(keyOf(next.target), next) }, effects };
}

function judgeOne(state: State, watched: Watched, nowMs: number): { next: Watched; effects: Effect[] } {
  const hostSilentMs = nowMs - (state.heardMs.get(watched.host) ?? watched.pulse.sinceMs);
  const pulse = judge(watched.pulse, watched.policy, { nowMs, hostSilentMs });
  const changed = pulse.state !== watched.pulse.state || watched.saidMs === -Infinity;
  const due = changed || nowMs - watched.saidMs >= REPEAT_MS;
  const next = { ...watched, pulse, saidMs: due ? nowMs : watched.saidMs };
  return { next, effects: due ? [{ kind: "say", judgement: judgementOf(next, nowMs), changed }] : [] };
}

function judgementOf({ target, pulse }: Watched, nowMs: number): Judgement {
  const { resource, instance, incarnation } = target;
  const { state, sinceMs } = pulse;
  return { resource, instance, incarnation, state, sinceMs, evidence: evidenceOf(pulse, nowMs) };
}

/** Names are DNS labels: the dot keeps them apart. */
export function keyOf({ resource, instance }: { resource: string; instance: string }): string {
  return `${resource}.${instance}`;
}
