/** The mirror of a simulated world: as far as it is told to be, with the newest position of every folder on its disk. */

import type { ShadowProgress } from "@understudy/mirror/engine";
import { type Epoch, POSITION_ZERO, type Position } from "@understudy/model/position";
import type { Member } from "@understudy/state/store";
import { reached } from "../resource-state.ts";

const SEED_MS = 100;
const COUNTS = {
  lagMs: 0,
  lagVersions: 0,
  lagBytes: 0,
  seedBytes: 0,
  deltaBytes: 0,
  seedDoneBytes: 0,
  seedTotalBytes: 0,
  transport: "tls" as const,
};

type Shadow = { readonly member: Member; durable: Position; readonly openedMs: number; lagging: boolean };
export type Seen = { readonly sealed: Position; readonly shadows: readonly ShadowProgress[] };

export type SimulatedMirror = {
  openPrimary(member: Member, at: { epoch: Epoch; from: Position }): void;
  openShadow(member: Member): void;
  /** Lets go of this folder's end and of the old primary's; says where the folder stands. */
  turn(instance: string): Position;
  close(instance: string): void;
  removeFolder(instance: string): void;
  write(): void;
  /** Brings every shadow that does not lag up to date. */
  flow(): void;
  /** The same at once for these; false when one of them lags. */
  salvage(instances: readonly string[]): boolean;
  setLagging(instance: string, lagging: boolean): void;
  /** Whether a member has everything sealed on disk. */
  has(member: Member): boolean;
  seen(): Seen | undefined;
  /** The host's process is gone: the ends are, the disks are not. */
  crash(): void;
};

export function simulateMirror(bootMs: () => number): SimulatedMirror {
  const disks = new Map<string, Position>();
  const ends = new Map<string, Shadow>();
  let primary: Member | undefined;
  let sealed = POSITION_ZERO;

  const isLive = (end: Shadow) => primary !== undefined && bootMs() - end.openedMs >= SEED_MS;

  function feed(end: Shadow | undefined): boolean {
    if (!end || end.lagging || !primary) return false;
    end.durable = sealed;
    disks.set(end.member.instance, sealed);
    return true;
  }

  return {
    openPrimary: (member, { epoch, from }) => {
      primary = member;
      sealed = { ...from, epoch };
    },
    openShadow: (member) => {
      const durable = disks.get(member.instance) ?? POSITION_ZERO;
      ends.set(member.instance, { member, durable, openedMs: bootMs(), lagging: false });
    },
    turn: (instance) => {
      ends.delete(instance);
      primary = undefined;
      return disks.get(instance) ?? POSITION_ZERO;
    },
    close: (instance) => void ends.delete(instance),
    removeFolder: (instance) => void disks.delete(instance),
    write: () => {
      if (!primary) return;
      sealed = { ...sealed, version: sealed.version + 1 };
      disks.set(primary.instance, sealed);
    },
    flow: () => {
      for (const end of ends.values()) if (isLive(end)) feed(end);
    },
    salvage: (instances) => instances.map((instance) => feed(ends.get(instance))).every(Boolean),
    setLagging: (instance, lagging) => {
      const end = ends.get(instance);
      if (end) end.lagging = lagging;
    },
    has: ({ instance, incarnation }) => {
      const end = ends.get(instance);
      return end?.member.incarnation === incarnation && reached(end.durable, sealed);
    },
    seen: () =>
      primary && {
        sealed,
        shadows: [...ends.values()].map((end): ShadowProgress => {
          const phase = isLive(end) ? "live" : "seeding";
          return { ...end.member, phase, durable: end.durable, visible: end.durable, ...COUNTS };
        }),
      },
    crash: () => {
      ends.clear();
      primary = undefined;
    },
  };
}
