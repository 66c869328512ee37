/** gRPC ReplicationControl: what may be asked, by whom, and how the answers read. */

import { create } from "@bufbuild/protobuf";
import {
  type Call,
  GrpcError,
  type Handlers,
  type Implementation,
  implement,
} from "@understudy/service/grpc";
import {
  BarrierResponseSchema,
  ReplicationControl,
  type ResourceStatus,
  ResourceStatusSchema,
  StatusResponseSchema,
} from "@understudy/wire/gen/control";
import type { RoleChanged } from "@understudy/wire/gen/role";
import { positionToWire } from "@understudy/wire/header";
import { admit } from "./callers.ts";
import type { Request } from "./events.ts";
import { usableUntilMs } from "./lease.ts";
import type { ResourceState } from "./resource-state.ts";
import { lostText } from "./store-view.ts";
import type { Measures } from "./telemetry.ts";
import type { Unit } from "./unit.ts";
import type { WatchBoard } from "./watch-board.ts";

export type ControlParts = {
  readonly units: ReadonlyMap<string, Unit>;
  readonly board: WatchBoard;
  readonly measures: Measures;
  readonly bootMs: () => number;
};

export function replicationControl(parts: ControlParts): Implementation {
  const { units, board } = parts;
  const unitOf = (resource: string): Unit => {
    const unit = units.get(resource);
    if (unit) return unit;
    throw new GrpcError(
      "not-found",
      `no resource "${resource}" is configured: understudy apply -f understudy.yaml`,
    );
  };

  async function ask(resource: string, request: Request, call: Call): Promise<RoleChanged> {
    admit(request.kind, { ...call, resource });
    const answer = await unitOf(resource).ask(request, call.signal);
    if (!answer.done) throw new GrpcError(answer.code, answer.why);
    const roles = board.roles(resource);
    if (!roles) throw new GrpcError("unavailable", `the roles of ${resource} are not known yet`);
    return roles;
  }

  const handlers: Handlers<typeof ReplicationControl> = {
    mirror: ({ resource }, call) => ask(resource, { kind: "mirror" }, call),
    unmirror: ({ resource }, call) => ask(resource, { kind: "unmirror" }, call),
    switchover: ({ resource, toInstance }, call) =>
      ask(resource, { kind: "switchover", target: toInstance }, call),
    promote: ({ resource, instance, reason }, call) =>
      ask(resource, { kind: "promote", target: instance, reason }, call),
    recreate: ({ resource, instance }, call) => ask(resource, { kind: "recreate", instance }, call),
    scale: ({ resource, shadows }, call) => ask(resource, { kind: "scale", shadows }, call),
    status: async ({ resource }, call) => {
      admit("status", { ...call, resource });
      const chosen = resource === "" ? [...units] : [[resource, unitOf(resource)] as const];
      const resources = chosen.map(([name, unit]) => statusOf(name, unit, parts));
      return create(StatusResponseSchema, { resources });
    },
    watch: async function* ({ resource }, call) {
      admit("watch", { ...call, resource });
      yield* board.watch(resource, call.signal);
    },
    barrier: (request, call) => barrier(unitOf, parts, { ...request, call }),
  };
  return implement(ReplicationControl, handlers);
}

async function barrier(
  unitOf: (resource: string) => Unit,
  { measures }: ControlParts,
  { resource, instance, epoch, call }: { resource: string; instance: string; epoch: bigint; call: Call },
) {
  admit("barrier", { ...call, resource });
  const startedMs = performance.now();
  try {
    const { signal } = call;
    const { position, members } = await unitOf(resource).barrier({ instance, epoch: Number(epoch), signal });
    const waitedMs = performance.now() - startedMs;
    measures().barrierMs.record(waitedMs, { resource });
    return create(BarrierResponseSchema, {
      position: positionToWire(position),
      members: [...members],
      waitedMs,
    });
  } catch (error) {
    const reason = error instanceof GrpcError ? error.code : "internal";
    measures().barriersRefused.add(1, { resource, reason });
    throw error;
  }
}

function statusOf(name: string, unit: Unit, { board, bootMs }: ControlParts): ResourceStatus {
  const state = unit.state();
  const roles = board.roles(name);
  return create(ResourceStatusSchema, {
    ...(roles ? { roles } : {}),
    states: [...board.states(name)],
    inSync: (state.authority?.inSync ?? []).map((member) => member.instance),
    lease: leaseText(state, bootMs()),
  });
}

function leaseText(state: ResourceState, bootMs: number): string {
  if (state.store.phase === "lost") return lostText(state, state.store.missing);
  switch (state.lease.held) {
    case "no":
      return "not held";
    case "by-promise":
      return "store unreachable: held by promise";
    case "by-store":
      return `held until ${((usableUntilMs(state) - bootMs) / 1000).toFixed(1)} s from now`;
  }
}
