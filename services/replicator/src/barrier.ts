/**
 * A Barrier: seals what has been committed and answers once every shadow that may be promoted has it on disk. Whom it waits
 * for is asked again at every change, so that a member that leaves or joins meanwhile counts.
 */

import { setTimeout as after } from "node:timers";
import type { MirrorPrimary, ShadowProgress } from "@understudy/mirror/engine";
import type { Position } from "@understudy/model/position";
import { GrpcError } from "@understudy/service/grpc";
import type { Member } from "@understudy/state/store";
import { awaited } from "./membership.ts";
import { type ResourceState, reached, reigning } from "./resource-state.ts";

/** However patient the caller is. */
const BARRIER_MAX_MS = 10_000;
/** Barriers at once: each is looked at on every change, so that their number must have an end. */
export const BARRIERS_MAX = 2_048;

export type BarrierParts = {
  readonly state: () => ResourceState;
  readonly primary: () => MirrorPrimary | undefined;
  /** Calls back at every change of the state or of a shadow's progress; returns how to stop it. */
  readonly onChange: (listener: () => void) => () => void;
  /** Aborts when nothing more is decided here. */
  readonly over: AbortSignal;
};

export type BarrierRequest = {
  readonly instance: string;
  readonly epoch: number;
  readonly signal: AbortSignal;
};
export type BarrierResult = { readonly position: Position; readonly members: readonly string[] };

export type Barriers = (request: BarrierRequest) => Promise<BarrierResult>;

/**
 * The Barriers of one resource. They throw GrpcError "failed-precondition" to a caller that is not the primary, "deadline-exceeded"
 * with what is missing, and "unavailable" when too many wait already.
 */
export function openBarriers(parts: BarrierParts): Barriers {
  let waiting = 0;
  return async (request) => {
    if (waiting >= BARRIERS_MAX)
      throw new GrpcError("unavailable", `${waiting} Barriers are waiting already: ask again`);
    waiting += 1;
    try {
      return await barrier(parts, request);
    } finally {
      waiting -= 1;
    }
  };
}

async function barrier(parts: BarrierParts, request: BarrierRequest): Promise<BarrierResult> {
  const primary = await until(parts, request, () => {
    refuseOthers(parts.state(), request);
    return parts.primary();
  });
  const position = await primary.seal();
  return until(parts, request, () => {
    refuseOthers(parts.state(), request);
    if (parts.primary() !== primary)
      throw new GrpcError("unavailable", "the primary's mirror was opened anew");
    const members = satisfied(parts.state(), primary, position);
    return members && { position, members };
  });
}

function refuseOthers(state: ResourceState, { instance, epoch }: BarrierRequest): void {
  const primary = reigning(state);
  const busy = state.takeover.step !== "idle" && state.takeover.step !== "blocked";
  if (!primary || busy) throw new GrpcError("unavailable", "a change of primary is under way");
  if (primary.name !== instance)
    throw new GrpcError("failed-precondition", `${primary.name} is the primary, not ${instance}`);
  const inForce = state.authority?.epoch ?? 0;
  if (epoch !== inForce)
    throw new GrpcError("failed-precondition", `epoch ${inForce} is in force, not ${epoch}`);
}

/** The members that have it, once all have. An empty set satisfies nobody, unless the resource says so. */
function satisfied(
  state: ResourceState,
  primary: MirrorPrimary,
  position: Position,
): readonly string[] | undefined {
  const waitedFor = awaited(state);
  const bestEffort = state.spec.state.critical === "best-effort";
  if ((state.authority?.inSync ?? []).length === 0 && !(bestEffort && waitedFor.length === 0))
    return undefined;
  const shadows = primary.shadows();
  return waitedFor.every((member) => has(shadows, member, position))
    ? waitedFor.map((each) => each.instance)
    : undefined;
}

function has(shadows: readonly ShadowProgress[], member: Member, position: Position): boolean {
  return shadows.some(
    (each) =>
      each.instance === member.instance &&
      each.incarnation === member.incarnation &&
      reached(each.durable, position),
  );
}

/** The first value that `look` returns; it looks at once and at every change. */
function until<T>(parts: BarrierParts, request: BarrierRequest, look: () => T | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    let stop = (): void => undefined;
    const settle = (act: () => void) => {
      stop();
      clearTimeout(timer);
      request.signal.removeEventListener("abort", gone);
      parts.over.removeEventListener("abort", ended);
      act();
    };
    const gone = () => settle(() => reject(new GrpcError("cancelled", "the caller has gone")));
    const ended = () => settle(() => reject(new GrpcError("unavailable", "this replicator lets it go")));
    const late = () => settle(() => reject(new GrpcError("deadline-exceeded", missing(parts.state()))));
    const timer = after(late, BARRIER_MAX_MS);
    const check = () => {
      try {
        const value = look();
        if (value !== undefined) settle(() => resolve(value));
      } catch (error) {
        settle(() => reject(error));
      }
    };
    request.signal.addEventListener("abort", gone, { once: true });
    parts.over.addEventListener("abort", ended, { once: true });
    // While the primary sealed, nobody listened: a signal says it only once.
    if (request.signal.aborted) return gone();
    if (parts.over.aborted) return ended();
    stop = parts.onChange(check);
    check();
  });
}

function missing(state: ResourceState): string {
  const members = awaited(state).map((member) => member.instance);
  if (members.length === 0) return "no shadow is in sync: nobody but the primary has it";
  return `not on disk at every in-sync shadow (${members.join(", ")}) within ${BARRIER_MAX_MS} ms`;
}
