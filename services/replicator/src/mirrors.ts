/**
 * The ends of a resource's mirror on this host: one primary end, and a shadow end per shadow. Every open shadow end is fed
 * by the open primary end, always through the mTLS listener, so that one host and two behave alike. What touches one
 * instance's folder goes in turn.
 */

import { realpathSync } from "node:fs";
import type {
  ListenMirror,
  MirrorListener,
  MirrorPrimary,
  MirrorShadow,
  OpenPrimary,
  ShadowProgress,
} from "@understudy/mirror/engine";
import type { LinkOf } from "@understudy/mirror/limited-transport";
import type { Clock } from "@understudy/model/clock";
import { beforeAbort, pause } from "@understudy/model/pause";
import type { ResourceSpec } from "@understudy/model/policy";
import { comparePositions, type Epoch, type Position } from "@understudy/model/position";
import type { TlsMaterial } from "@understudy/service/tls";
import type { Member } from "@understudy/state/store";
import { type App, holdOf } from "./app.ts";
import type { Event } from "./events.ts";
import type { Folders } from "./folders.ts";
import { reached } from "./resource-state.ts";

const REOPEN_MS = 200;
/** Membership is decided by tenths of seconds: every acknowledgement by itself would be most of the core's work. */
const PROGRESS_EVERY_MS = 20;

export type MirrorEngine = { readonly openPrimary: OpenPrimary; readonly listenMirror: ListenMirror };

export type Mirrors = {
  openShadow(member: Member): Promise<void>;
  /** A shadow end on another host, which takes its data at this address. */
  feedElsewhere(member: Member, address: string): Promise<void>;
  /** Lets go of this instance's end, of the old primary's end too, and returns where this instance stands. */
  turn(member: Member, options: { epoch: Epoch; known: Position }): Promise<Position>;
  /** Opens the primary end, trying until it works or another instance is turned. */
  openPrimary(member: Member, options: { epoch: Epoch; from: Position }): Promise<boolean>;
  /** Another host leads: closes the primary end, and forgets the ends elsewhere. */
  handOver(): Promise<void>;
  /** Seals and waits until these shadows have it; false when they did not within the time. */
  salvage(instances: readonly string[], withinMs: number): Promise<boolean>;
  close(instance: string): Promise<void>;
  /** Undefined while the primary end is not open. */
  primary(): MirrorPrimary | undefined;
  progress(): { readonly sealed: Position; readonly shadows: readonly ShadowProgress[] } | undefined;
  closeAll(): Promise<void>;
};

/** `end` is there when it is ours; that of another host has only its address. */
type OpenEnd = { readonly member: Member; readonly address: string; readonly end?: MirrorShadow };
type PrimaryEnd = { readonly member: Member; readonly end: MirrorPrimary };

export function openMirrors(parts: {
  readonly spec: () => ResourceSpec;
  readonly engine: MirrorEngine;
  readonly listener: MirrorListener;
  readonly listenHost: string;
  readonly folders: Folders;
  readonly app: App;
  readonly tls: TlsMaterial;
  readonly clock: Clock;
  readonly linkOf: LinkOf;
  readonly post: (event: Event) => void;
  /** Called at every change of progress, before the event. */
  readonly onProgress: () => void;
  readonly onError: (error: Error) => void;
}): Mirrors {
  const { engine, listener, folders, tls, clock, linkOf, onError } = parts;
  const ends = new Map<string, OpenEnd>();
  const { inTurn, idle } = turnstiles();
  const address = `${parts.listenHost}:${listener.port}`;
  const stop = new AbortController();
  let current: PrimaryEnd | undefined;
  let wanted: Member | undefined;
  let due = false;

  /** Of an adopted resource the folder leads to where that keeps its state; the mirror itself follows no links. */
  const stateOf = (instance: string) => {
    const { name: resource, kind, state } = parts.spec();
    // A container sees the state's folder and nothing beside it.
    const view = kind === "container" ? ("files" as const) : ("versions" as const);
    const { paths, consistency, criticalPaths = [] } = state;
    const hold = holdOf(parts.spec());
    const dir = realpathSync(folders.stateDir(instance));
    return { resource, dir, view, paths, consistency, criticalPaths, ...(hold && { hold }) };
  };
  const attach = ({ member, address: to }: OpenEnd) => current?.end.attach({ ...member, address: to });

  /** Barriers hear of each change at once; the core gets what many of them come to as one event. */
  function moved(of: MirrorPrimary): void {
    if (current?.end !== of) return;
    parts.onProgress();
    if (due) return;
    due = true;
    setTimeout(() => {
      due = false;
      const seen = progress();
      if (seen) parts.post({ kind: "progress", ...seen });
    }, PROGRESS_EVERY_MS);
  }

  function progress() {
    return current && { sealed: current.end.position(), shadows: current.end.shadows() };
  }

  async function closeEnds(instance: string): Promise<void> {
    const shadow = ends.get(instance);
    ends.delete(instance);
    current?.end.detach(instance);
    await shadow?.end?.close();
    if (current?.member.instance !== instance) return;
    const { end } = current;
    current = undefined;
    await end.close();
  }

  async function openPrimaryOnce(
    member: Member,
    { epoch, from }: { epoch: Epoch; from: Position },
  ): Promise<void> {
    const { tickMs } = parts.spec().state;
    await folders.make(member.instance);
    const workDir = folders.workDir(member.instance);
    const state = stateOf(member.instance);
    const writer = parts.app.writerOf(member);
    const end = await engine.openPrimary({
      state,
      epoch,
      from,
      tickMs,
      tls,
      clock,
      workDir,
      writer,
      onError,
      linkOf,
    });
    if (wanted !== member || stop.signal.aborted) return end.close();
    current = { member, end };
    end.onProgress(() => moved(end));
    for (const shadow of ends.values()) attach(shadow);
    moved(end);
  }

  return {
    openShadow: (member) =>
      inTurn(member.instance, async () => {
        if (stop.signal.aborted) throw new Error("its resource is let go");
        await closeEnds(member.instance);
        await folders.make(member.instance);
        const workDir = folders.workDir(member.instance);
        const show = parts.app.showTo(member);
        const state = stateOf(member.instance);
        const end = await listener.openShadow({ state, ...member, workDir, ...(show && { show }) });
        const opened = { member, address, end };
        ends.set(member.instance, opened);
        attach(opened);
      }),

    feedElsewhere: (member, to) =>
      inTurn(member.instance, async () => {
        await closeEnds(member.instance);
        const opened = { member, address: to };
        ends.set(member.instance, opened);
        attach(opened);
      }),

    handOver: async () => {
      wanted = undefined;
      const old = current;
      current = undefined;
      for (const [instance, { end }] of ends) if (!end) ends.delete(instance);
      if (old) await inTurn(old.member.instance, () => old.end.close());
    },

    turn: (member, { epoch, known }) => {
      wanted = undefined;
      // Taken out at once: whoever opens the next primary end must not find this one, or close that one for this.
      const old = current;
      current = undefined;
      const own = old?.member.instance === member.instance ? old : undefined;
      if (old && !own) inTurn(old.member.instance, () => old.end.close()).catch(onError);
      return inTurn(member.instance, async () => {
        const released = await ends.get(member.instance)?.end?.release();
        ends.delete(member.instance);
        await own?.end.close();
        const here = [...ends.values()].flatMap(({ end }) => (end ? [end] : []));
        for (const end of here) end.raiseEpoch(epoch).catch(onError);
        // A store that was set back knows of less than our shadows have: a version's number must not be given twice.
        const seen = [known, ...here.map((end) => end.durable())];
        return released ?? own?.end.position() ?? seen.sort(comparePositions).at(-1)!;
      });
    },

    openPrimary: (member, options) =>
      inTurn(member.instance, async () => {
        wanted = member;
        while (wanted === member && !stop.signal.aborted) {
          try {
            await openPrimaryOnce(member, options);
            return current?.member === member;
          } catch (error) {
            onError(
              new Error(`${member.instance}: its end of the mirror cannot be opened`, { cause: error }),
            );
            await pause(REOPEN_MS, stop.signal);
          }
        }
        return false;
      }),

    salvage: async (instances, withinMs) => {
      if (!current) return false;
      const within = AbortSignal.timeout(withinMs);
      const { end } = current;
      const sealed = await beforeAbort(end.seal(), within);
      if (!sealed || !(await end.waitDurable(sealed.version, instances, within))) return false;
      const there = end.shadows().filter(({ durable }) => reached(durable, sealed));
      return instances.every((name) => there.some(({ instance }) => instance === name));
    },

    close: (instance) => inTurn(instance, () => closeEnds(instance)),
    primary: () => current?.end,
    progress,
    closeAll: async () => {
      stop.abort();
      wanted = undefined;
      // An end that is just being opened has to be closed as well: nobody could open it again.
      await idle();
      const instances = [...ends.keys(), ...(current ? [current.member.instance] : [])];
      await Promise.all(instances.map(closeEnds));
    },
  };
}

/** Work on one key goes one after the other; a failure stops nobody behind it. */
function turnstiles() {
  const last = new Map<string, Promise<unknown>>();
  return {
    inTurn: <T>(key: string, work: () => Promise<T>): Promise<T> => {
      const before = last.get(key) ?? Promise.resolve();
      const done = before.then(work, work);
      last.set(key, done);
      return done;
    },
    /** Resolves when all that was begun is done. */
    idle: async (): Promise<void> => {
      await Promise.allSettled(last.values());
    },
  };
}
