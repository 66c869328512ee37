/** TrafficControl over gRPC: what people do by hand, and why things are as they are. */

import { create } from "@bufbuild/protobuf";
import { PPM } from "@understudy/model/share";
import { GrpcError, type Implementation, implement } from "@understudy/service/grpc";
import {
  ExplainResponseSchema,
  PauseResponseSchema,
  ResumeResponseSchema,
  TrafficControl,
} from "@understudy/wire/gen/control";
import type { LbCommand } from "@understudy/wire/gen/lb";
import type { Answers } from "./answers.ts";
import { admit } from "./callers.ts";
import type { State } from "./events.ts";
import type { History } from "./history.ts";
import type { Loop } from "./loop.ts";
import { sharesFromWire } from "./wire.ts";

const EXPLAIN_MAX = 100;

export function trafficControl(parts: {
  readonly loop: Loop;
  readonly history: History;
  readonly answerTo: Answers["next"];
}): Implementation {
  const { loop, history, answerTo } = parts;
  return implement(TrafficControl, {
    async apply(command, call) {
      admit("apply", { ...call, resource: "" });
      const resource = resourceOf(command, loop.state());
      const readPpm = checkShares(command, loop.state(), resource);
      loop.hear({ kind: "manual", resource, readPpm });
      const revision = loop.state().get(resource)?.plan?.revision ?? 0;
      return answerTo({ resource, revision }, call.signal);
    },
    async pause({ resource }, call) {
      admit("pause", { ...call, resource });
      known(resource, loop.state());
      loop.hear({ kind: "paused", resource });
      return create(PauseResponseSchema);
    },
    async resume({ resource }, call) {
      admit("resume", { ...call, resource });
      known(resource, loop.state());
      loop.hear({ kind: "resumed", resource });
      return create(ResumeResponseSchema);
    },
    async explain({ resource, last }, call) {
      admit("explain", { ...call, resource });
      known(resource, loop.state());
      const count = Math.min(Math.max(last, 1), EXPLAIN_MAX);
      return create(ExplainResponseSchema, { ...history.last(resource, count) });
    },
  });
}

function known(resource: string, state: State): void {
  if (!state.has(resource))
    throw new GrpcError("not-found", `no resource is named "${resource.slice(0, 80)}"`);
}

function resourceOf(command: LbCommand, state: State): string {
  const named = command.header?.resource ?? "";
  const resource =
    named || [...state.values()].find(({ pool }) => pool.name === command.pool)?.spec.name || "";
  known(resource, state);
  return resource;
}

/** Who takes writes is not for hands to say: a plan that names another writer is refused, not half obeyed. */
function checkShares(command: LbCommand, state: State, resource: string): ReadonlyMap<string, number> {
  const { roles, spec } = state.get(resource)!;
  if (spec.mode !== "act")
    throw new GrpcError("failed-precondition", `${resource} is in mode ${spec.mode}: nothing is applied`);
  if (!roles) throw new GrpcError("failed-precondition", "the roles are not known yet");
  if (command.epoch !== 0n && Number(command.epoch) !== roles.epoch) {
    throw new GrpcError("failed-precondition", `epoch ${roles.epoch} is in force, not ${command.epoch}`);
  }
  const writer = command.targets.find((target) => target.writes)?.instance;
  if (writer !== undefined && writer !== roles.primary) {
    throw new GrpcError(
      "failed-precondition",
      `writes go to the primary, "${roles.primary}": use switchover to change it`,
    );
  }
  const shares = sharesFromWire(command);
  for (const name of shares.keys()) {
    if (!roles.instances.some((instance) => instance.name === name))
      throw new GrpcError("not-found", `no instance is named "${name.slice(0, 80)}"`);
  }
  const total = [...shares.values()].reduce((sum, ppm) => sum + ppm, 0);
  if (total !== PPM)
    throw new GrpcError("invalid-argument", `the shares add up to ${total} ppm, not to ${PPM}`);
  return shares;
}
