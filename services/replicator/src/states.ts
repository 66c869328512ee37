/** How far each instance of a resource is, for the bus and for watchers. Pure. */

import { create } from "@bufbuild/protobuf";
import type { ShadowProgress } from "@understudy/mirror/engine";
import type { Hlc } from "@understudy/model/hlc";
import type { Position } from "@understudy/model/position";
import {
  ReplicationPhase,
  type ReplicationState,
  ReplicationStateSchema,
} from "@understudy/wire/gen/replication";
import { headerToWire, positionToWire } from "@understudy/wire/header";
import { isMember, type ResourceState, reigning, type Tracked } from "./resource-state.ts";
import type { Seeding } from "./seeding.ts";

export type Seen = {
  readonly sealed: Position;
  readonly shadows: readonly ShadowProgress[];
  readonly stateBytes: number;
  readonly seedings: readonly Seeding[];
};

const PHASES: Record<ShadowProgress["phase"], ReplicationPhase> = {
  connecting: ReplicationPhase.DISCONNECTED,
  seeding: ReplicationPhase.SEEDING,
  live: ReplicationPhase.LIVE,
  disconnected: ReplicationPhase.DISCONNECTED,
};

export function statesOf(
  state: ResourceState,
  seen: Seen,
  about: { time: Hlc; source: string },
): ReplicationState[] {
  const header = headerToWire({ resource: state.resource, ...about });
  return state.instances.flatMap((tracked) => {
    const { name: instance, incarnation } = tracked;
    const stateBytes = BigInt(Math.floor(seen.stateBytes));
    if (reigning(state)?.name === instance) {
      const here = positionToWire(seen.sealed);
      const phase = ReplicationPhase.PRIMARY;
      return create(ReplicationStateSchema, {
        header,
        instance,
        incarnation,
        phase,
        durable: here,
        visible: here,
        stateBytes,
      });
    }
    const progress = progressOf(seen, tracked);
    return progress
      ? create(ReplicationStateSchema, {
          header,
          instance,
          incarnation,
          phase: PHASES[progress.phase],
          durable: positionToWire(progress.durable),
          visible: positionToWire(progress.visible),
          lagMs: progress.lagMs,
          lagBytes: BigInt(Math.floor(progress.lagBytes)),
          lagVersions: BigInt(progress.lagVersions),
          inSync: isMember(state.authority?.inSync ?? [], tracked),
          seedBytes: BigInt(progress.seedBytes),
          deltaBytes: BigInt(progress.deltaBytes),
          stateBytes,
          seedDoneBytes: BigInt(progress.seedDoneBytes),
          seedTotalBytes: BigInt(progress.seedTotalBytes),
          ...paceOf(seen, tracked),
        })
      : [];
  });
}

function paceOf({ seedings }: Seen, { name, incarnation }: Tracked) {
  const copy = seedings.find((each) => each.instance === name && each.incarnation === incarnation);
  if (copy?.phase !== "seeding") return {};
  return { seedRate: copy.rate, ...(copy.etaMs === undefined ? {} : { seedEtaMs: copy.etaMs }) };
}

function progressOf({ shadows }: Seen, { name, incarnation }: Tracked): ShadowProgress | undefined {
  return shadows.find((each) => each.instance === name && each.incarnation === incarnation);
}

/** What a watcher must learn at once; the rest may wait for the next round. */
export function phasesOf(state: ResourceState): string {
  return state.instances
    .map(
      (tracked) =>
        `${tracked.name} ${tracked.incarnation} ${tracked.progress?.phase ?? ""} ${isMember(state.authority?.inSync ?? [], tracked)}`,
    )
    .join(",");
}
