/**
 * gRPC HostControl: what the host that leads a resource may ask of us as one that keeps shadows of it. Each call becomes an event
 * of the resource's core, and is answered when the core's state says that it is done.
 */

import { create } from "@bufbuild/protobuf";
import { admitBy } from "@understudy/service/callers";
import {
  type Call,
  GrpcError,
  type Handlers,
  type Implementation,
  implement,
} from "@understudy/service/grpc";
import type { Member } from "@understudy/state/store";
import {
  EndShadowResponseSchema,
  HostControl,
  type HostedShadow,
  LookAtStoreResponseSchema,
  OpenShadowResponseSchema,
  PromiseResponseSchema,
  RemoveShadowResponseSchema,
  StartShadowResponseSchema,
  WatchShadowsResponseSchema,
} from "@understudy/wire/gen/host";
import type { Event } from "../events.ts";
import { leadsHere, type ResourceState, type Tracked } from "../resource-state.ts";
import type { Unit } from "../unit.ts";
import { keptToWire, memberFromWire } from "./kept-wire.ts";

/** Said again so often, that silence means something. */
const REPEAT_MS = 1_000;
const ASK_AGAIN_MS = 100;
/** What happens within so long is told together. */
const GATHER_MS = 5;

const admit = admitBy<keyof typeof HostControl.method>({
  openShadow: ["replicator"],
  startShadow: ["replicator"],
  endShadow: ["replicator"],
  removeShadow: ["replicator"],
  watchShadows: ["replicator"],
  lookAtStore: ["replicator"],
  promise: ["replicator"],
});

export type HostControlParts = {
  readonly units: ReadonlyMap<string, Unit>;
  /** Whether this peer is the replicator of a host that is configured. */
  readonly isHost: (peer: string) => boolean;
  readonly bootMs: () => number;
  /** Where mirror data is taken here. */
  readonly data: () => string;
};

type Asks = Extract<Event, { kind: "host-asked" }>["asks"];

export function hostControl(parts: HostControlParts): Implementation {
  const { units } = parts;

  function unitFor(method: keyof typeof HostControl.method, resource: string, call: Call): Unit {
    admit(method, { ...call, resource });
    if (!parts.isHost(call.peer))
      throw new GrpcError("permission-denied", `"${call.peer}" is no host of the configuration in force`);
    const unit = units.get(resource);
    if (unit) return unit;
    throw new GrpcError(
      "not-found",
      `no resource "${resource}" is kept here: is this host in its shadows.hosts?`,
    );
  }

  /** Asks the core until it is done, fails, or the caller goes. */
  async function ask<T>(
    method: keyof typeof HostControl.method,
    { shadow, call, asks }: { shadow: HostedShadow | undefined; call: Call; asks: Asks },
    done: (state: ResourceState, tracked: Tracked | undefined) => T | undefined,
  ): Promise<T> {
    const unit = unitFor(method, shadow?.resource ?? "", call);
    const member = checkedMember(shadow);
    const refuse = () => refuseOutdated(unit.state(), Number(shadow!.epoch));
    refuse();
    // Without a look at who leads now nothing is done for anybody.
    unit.post({ kind: "look-at-store" });
    for (;;) {
      unit.post({ kind: "host-asked", asks, member });
      const value = await unit.when(call.signal, ASK_AGAIN_MS, (state) => {
        const tracked = state.instances.find(
          (each) => each.name === member.instance && each.incarnation === member.incarnation,
        );
        if (tracked?.stage.at === "lost" && asks !== "end" && asks !== "remove")
          throw new GrpcError("failed-precondition", tracked.stage.why);
        return done(state, tracked);
      });
      if (value !== undefined) return value;
      if (call.signal.aborted) throw new GrpcError("cancelled", "the caller has gone");
      refuse();
    }
  }

  const handlers: Handlers<typeof HostControl> = {
    openShadow: ({ shadow }, call) =>
      ask("openShadow", { shadow, call, asks: "open" }, (_, tracked) =>
        tracked?.mirror === "open" ? create(OpenShadowResponseSchema, { data: parts.data() }) : undefined,
      ),
    startShadow: ({ shadow }, call) =>
      ask("startShadow", { shadow, call, asks: "start" }, (_, tracked) => {
        if (!tracked) throw new GrpcError("failed-precondition", "it has to be opened first");
        const { address, pid, pidStartTicks } = tracked;
        const started = { address, pid, pidStartTicks: BigInt(pidStartTicks) };
        return address === "" ? undefined : create(StartShadowResponseSchema, started);
      }),
    endShadow: ({ shadow }, call) =>
      ask("endShadow", { shadow, call, asks: "end" }, (_, tracked) =>
        tracked ? undefined : create(EndShadowResponseSchema),
      ),
    removeShadow: ({ shadow }, call) =>
      ask("removeShadow", { shadow, call, asks: "remove" }, (_, tracked) =>
        tracked ? undefined : create(RemoveShadowResponseSchema),
      ),
    watchShadows: async function* ({ resource }, call) {
      const unit = unitFor("watchShadows", resource, call);
      const closing = call.signal;
      while (!closing.aborted) {
        const before = textOf(unit.state());
        yield create(WatchShadowsResponseSchema, { shadows: keptOf(unit.state()).map(keptToWire) });
        await unit.when(closing, REPEAT_MS, (state) => (textOf(state) === before ? undefined : true));
        await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
      }
    },
    lookAtStore: async ({ resource }, call) => {
      unitFor("lookAtStore", resource, call).post({ kind: "look-at-store" });
      return create(LookAtStoreResponseSchema);
    },
    promise: async ({ resource, epoch, leaseMs }, call) => {
      const unit = unitFor("promise", resource, call);
      const { spec } = unit.state();
      refuseOutdated(unit.state(), Number(epoch));
      unit.post({ kind: "promise-asked", leaseMs: Math.max(leaseMs, spec.lease.durationMs) });
      // The core answers within the turn. It does not promise while it is taking the lead.
      if (unit.state().promisedUntilBootMs <= parts.bootMs())
        throw new GrpcError("failed-precondition", `${resource}: this host is taking the lead`);
      return create(PromiseResponseSchema);
    },
  };
  return implement(HostControl, handlers);
}

function keptOf(state: ResourceState): readonly Tracked[] {
  return state.instances.filter(({ host, role }) => host === "" && role === "shadow");
}

function textOf(state: ResourceState): string {
  return keptOf(state)
    .map(
      ({ name, incarnation, stage, mirror, address }) =>
        `${name} ${incarnation} ${stage.at} ${mirror} ${address}`,
    )
    .join(",");
}

function checkedMember(shadow: HostedShadow | undefined): Member {
  try {
    return memberFromWire(shadow ?? { instance: "", incarnation: "" });
  } catch (error) {
    throw new GrpcError("invalid-argument", (error as Error).message);
  }
}

/** Whoever led before may not know it yet. */
function refuseOutdated(state: ResourceState, epoch: number): void {
  const { highestEpoch, resource, authority } = state;
  if (epoch < highestEpoch)
    throw new GrpcError(
      "failed-precondition",
      `epoch ${epoch} of ${resource}: ${highestEpoch} was in force already`,
    );
  const leads = authority?.lease !== undefined && leadsHere(state);
  if (leads)
    throw new GrpcError("failed-precondition", `${resource} is led here, under epoch ${authority.epoch}`);
}
