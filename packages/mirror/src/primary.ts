/**
 * The primary end: captures the state, seals each set of changes as the next version, and feeds the shadows. Sealing is
 * shared by all who ask at once; a change nobody waits for is sealed at the next tick, and nothing is when nothing changed.
 */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setInterval } from "node:timers";
import { mergeHlc, tickHlc } from "@understudy/model/hlc";
import type { Position } from "@understudy/model/position";
import { type Bookmark, type BookmarkFile, openBookmark } from "./bookmark.ts";
import type { Sealed } from "./catch-up.ts";
import { baseOf, sealDelta } from "./delta.ts";
import type { MirrorPrimary, OpenPrimary, ShadowProgress } from "./engine.ts";
import { diskError, MirrorError } from "./error.ts";
import { type Feed, openFeed } from "./feed.ts";
import { thawStale } from "./holder.ts";
import { sealLog } from "./lag.ts";
import { limitedTransport } from "./limited-transport.ts";
import { rootOf } from "./manifest.ts";
import { openCapture } from "./open-capture.ts";
import { recoverShadow } from "./recover.ts";
import { deltaRing } from "./ring.ts";
import { openTarget } from "./shadow.ts";
import { heldRecord, openStill, type Still } from "./still.ts";
import { tlsTransport } from "./tls.ts";
import { turnstile } from "./turnstile.ts";
import { durabilityWaits } from "./waits.ts";

/** Lag grows in silence, and who waits to join waits for the next word of progress. */
const PROGRESS_MS = 200;

type PrimaryOptions = Parameters<OpenPrimary>[0];

export const openPrimary: OpenPrimary = async (options) => {
  const { state, epoch, tls, clock, tickMs, onError, allows, linkOf = () => undefined } = options;
  const { seedOver = "auto", limitMbps } = options;
  const bookmark = await takeOver(options);
  const start = startingPoint(bookmark.current, options);
  let urge: () => void = () => undefined;
  let still: Still | undefined;
  const capture = await openStillOf(options)
    .then((opened) => {
      still = opened;
      return openCapture({ ...options, still: opened, onCritical: () => urge() });
    })
    .catch(async (error) => {
      bookmark.close();
      await still?.close();
      throw diskError(`state of ${state.resource}`, error);
    });
  const ring = deltaRing();
  const seals = sealLog();
  const feeds = new Map<string, Feed>();
  const waits = durabilityWaits();
  const listeners: (() => void)[] = [];
  let position = start;
  let isUntold = false;
  let closed = false;

  function shadows(): ShadowProgress[] {
    const nowMs = clock.bootMs();
    return [...feeds.values()].map((feed) => feed.progress(nowMs));
  }

  function changed(): void {
    waits.check(shadows());
    for (const listener of listeners) listener();
  }

  /** The next version; its place is on disk before anybody hears of it, so that no number is used twice. */
  function advance(): Position {
    const next: Position = {
      epoch,
      version: position.version + 1,
      hlc: tickHlc(position.hlc, clock.nowMs()),
      root: rootOf(capture.manifest),
    };
    try {
      bookmark.write({ role: "primary", position: next, epochSeen: epoch });
    } catch (error) {
      throw diskError(`bookmark of ${state.resource}`, error);
    }
    return next;
  }

  async function sealNow(): Promise<Sealed> {
    if (closed) throw new MirrorError("closed", `${state.resource}: this primary end is closed`);
    const taken = await capture.take();
    if (taken.count === 0 && !isUntold) return { position, changes: [] };
    const base = baseOf(position);
    // What an earlier seal took and could not give a number is in the manifest and in no delta: shadows find it by its hash.
    const changes = isUntold ? undefined : taken.changes;
    isUntold = true;
    position = advance();
    isUntold = false;
    const delta = changes && sealDelta({ base, position, changes });
    if (delta) ring.push(delta);
    else ring.clear();
    seals.add(position.version, { atMs: clock.bootMs(), bytes: delta?.bytes ?? taken.bytes });
    for (const feed of feeds.values()) feed.wake();
    changed();
    return { position, changes: changes ?? [] };
  }

  const gate = turnstile(async () => (await sealNow()).position);
  if (start.epoch !== epoch || rootOf(capture.manifest) !== start.root) {
    // The first version of an epoch says so even when nothing changed.
    position = advance();
    const unchanged = position.root === start.root;
    if (unchanged) ring.push(sealDelta({ base: baseOf(start), position, changes: [] }));
  }
  await bookmark.sync();
  seals.add(position.version, { atMs: clock.bootMs(), bytes: capture.manifest.bytes });

  let reported = "";
  let closing = false;
  function sealUnasked(): void {
    gate.shared().then(
      () => {
        reported = "";
      },
      (error: Error) => {
        if (!closing && error.message !== reported) onError(error);
        reported = error.message;
      },
    );
  }
  // A turnstile shares what is asked for together: a burst of events is one or two seals.
  urge = sealUnasked;
  const tick = setInterval(() => {
    if (capture.pending() || isUntold) sealUnasked();
  }, tickMs);
  const beat = setInterval(changed, PROGRESS_MS);

  const source = {
    resource: state.resource,
    capture,
    epoch,
    ring,
    seals,
    position: () => position,
    seal: gate.shared,
    exclusive: <R>(work: (sealInside: () => Promise<Sealed>) => Promise<R>) =>
      gate.exclusive(() => work(sealNow)),
    bootMs: clock.bootMs,
    transport: limitedTransport(
      tlsTransport({ tls, ...(allows && { allows }), dscpOf: (address) => linkOf(address)?.dscp }),
      linkOf,
    ),
    // Datagrams of Node carry no services code point: where one is wanted, the seed goes where it can be set.
    seed: (address: string) => ({
      over: linkOf(address)?.dscp === undefined ? seedOver : ("tls" as const),
      ...(limitMbps !== undefined && { limitMbps }),
    }),
    onChange: changed,
    onError,
  };

  async function detach(instance: string): Promise<void> {
    const feed = feeds.get(instance);
    feeds.delete(instance);
    await feed?.close();
  }

  return {
    position: () => position,
    stateBytes: () => capture.manifest.bytes,
    pauses: () => still?.pauses,
    seal: gate.shared,
    attach(shadow) {
      const before = feeds.get(shadow.instance);
      before?.close().catch(onError);
      feeds.set(shadow.instance, openFeed(source, shadow));
      changed();
    },
    detach(instance) {
      detach(instance).catch(onError);
    },
    shadows,
    onProgress: (listener) => void listeners.push(listener),
    waitDurable(version, instances, signal) {
      const wait = waits.add({ version, instances, signal });
      waits.check(shadows());
      return wait;
    },
    async close() {
      clearInterval(tick);
      clearInterval(beat);
      urge = () => undefined;
      closing = true;
      // First: a capture may be waiting for its turn to make the writer stand still.
      await still?.close();
      await Promise.all([...feeds.keys()].map(detach));
      await gate.exclusive(async () => {
        closed = true;
        capture.close();
      });
      await bookmark.sync();
      bookmark.close();
    },
  } satisfies MirrorPrimary;
};

/** Checks the epoch, and finishes what a shadow end that was never released has in its journal. */
async function takeOver({ state, epoch, workDir, clock, onError }: PrimaryOptions): Promise<BookmarkFile> {
  mkdirSync(workDir, { recursive: true });
  mkdirSync(state.dir, { recursive: true });
  const bookmark = openBookmark(join(workDir, "bookmark"));
  const { role, epochSeen } = bookmark.current;
  if (epoch < epochSeen) {
    bookmark.close();
    throw new MirrorError("stale-epoch", `${state.resource}: epoch ${epoch}, seen ${epochSeen}`);
  }
  if (role !== "shadow") {
    rmSync(join(workDir, "journal"), { force: true });
    return bookmark;
  }
  bookmark.close();
  const target = await openTarget({ state, workDir, clock, onError });
  const recovered = await recoverShadow(target, workDir);
  await recovered.journal.close();
  await target.handOver();
  target.close();
  return recovered.bookmark;
}

/** Where the history goes on: where this end stood in this epoch already, or where the promoted shadow stood. */
function startingPoint({ position }: Bookmark, { state, epoch, from, clock }: PrimaryOptions): Position {
  const merged = mergeHlc(from.hlc, from.hlc, { nowMs: clock.nowMs() });
  if (!merged.accepted) {
    throw new MirrorError(
      "clock",
      `${state.resource}: the history is ${merged.aheadMs} ms ahead of this clock`,
    );
  }
  return position.epoch === epoch && position.version >= from.version ? position : from;
}

/** Undefined where the writer never stands still; lets go of one that an earlier process of ours left standing. */
async function openStillOf({
  state,
  workDir,
  clock,
  writer,
  onError,
}: PrimaryOptions): Promise<Still | undefined> {
  if (!state.hold || !writer) {
    await thawStale(heldRecord(workDir));
    return undefined;
  }
  return openStill({ dir: state.dir, workDir, hold: state.hold, writer, bootMs: clock.bootMs, onError });
}
