/**
 * The primary's side of one shadow: connects, finds out where the shadow stands, brings it up to date and then sends each
 * delta as it is sealed. It never gives up and never waits for the shadow: what the shadow has not acknowledged is bounded,
 * and one that falls out of the ring of recent deltas starts over with a catch-up.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { POSITION_ZERO, type Position } from "@understudy/model/position";
import type { CatchUp } from "./catch-up.ts";
import { catchUp } from "./catch-up.ts";
import type { Base } from "./change.ts";
import { baseOf, sameBase } from "./delta.ts";
import type { ShadowProgress } from "./engine.ts";
import { MirrorError } from "./error.ts";
import { decodeFrame, encodeFrame, type Frame } from "./frames.ts";
import type { SealLog } from "./lag.ts";
import { receiveManifest } from "./manifest-wire.ts";
import type { DeltaRing } from "./ring.ts";
import type { Link, Transport } from "./transport.ts";

const HEARTBEAT_MS = 200;
/** A connection over which nothing came for so long is given up. */
const SILENCE_MAX_MS = 5_000;
const BACKOFF_MIN_MS = 20;
const BACKOFF_MAX_MS = 1_000;
/** Sent and not yet on the shadow's disk. */
const IN_FLIGHT_MAX = 64;
const IN_FLIGHT_BYTES_MAX = 32 * 1024 * 1024;

/** What a feed needs from its primary. */
export type FeedSource = Pick<CatchUp, "capture" | "epoch" | "seal" | "exclusive"> & {
  readonly resource: string;
  readonly ring: DeltaRing;
  readonly seals: SealLog;
  readonly position: () => Position;
  readonly bootMs: () => number;
  readonly transport: Transport;
  readonly onChange: () => void;
  readonly onError: (error: Error) => void;
};

export type FeedTarget = {
  readonly instance: string;
  readonly incarnation: string;
  readonly address: string;
};

export interface Feed {
  /** A version was sealed. */
  wake(): void;
  /** As of `nowMs` since boot. */
  progress(nowMs: number): ShadowProgress;
  close(): Promise<void>;
}

type Known = {
  phase: ShadowProgress["phase"];
  durable: Position;
  visible: Position;
  heardAtMs: number;
  seedBytes: number;
  deltaBytes: number;
  seedDoneBytes: number;
  seedTotalBytes: number;
};

export function openFeed(source: FeedSource, target: FeedTarget): Feed {
  const stop = new AbortController();
  const known: Known = {
    phase: "connecting",
    durable: POSITION_ZERO,
    visible: POSITION_ZERO,
    heardAtMs: source.bootMs(),
    seedBytes: 0,
    deltaBytes: 0,
    seedDoneBytes: 0,
    seedTotalBytes: 0,
  };
  let session: Session | undefined;

  const done = (async () => {
    let [backoffMs, reported] = [BACKOFF_MIN_MS, ""];
    while (!stop.signal.aborted) {
      try {
        const link = await source.transport.connect(target.address, stop.signal);
        session = openSession(source, target, { known, link });
        await session.run(stop.signal);
      } catch (error) {
        if (!stop.signal.aborted && (error as Error).message !== reported) source.onError(error as Error);
        reported = (error as Error).message;
      }
      if (session?.welcomed) [backoffMs, reported] = [BACKOFF_MIN_MS, ""];
      session = undefined;
      known.phase = "disconnected";
      source.onChange();
      await sleep(backoffMs, undefined, { signal: stop.signal }).catch(() => undefined);
      backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
    }
  })();

  return {
    wake: () => session?.pump(),
    progress(nowMs) {
      const { heardAtMs, ...rest } = known;
      const lag = source.seals.lagOf(known.visible.version, { nowMs, heardAtMs });
      return { instance: target.instance, incarnation: target.incarnation, ...rest, ...lag };
    },
    async close() {
      stop.abort();
      await done;
    },
  };
}

type Session = {
  readonly welcomed: boolean;
  /** Sends whatever may be sent now. */
  pump(): void;
  run(signal: AbortSignal): Promise<void>;
};

type Sent = { readonly position: Position; readonly bytes: number };

function openSession(
  source: FeedSource,
  target: FeedTarget,
  { known, link }: { known: Known; link: Link },
): Session {
  let welcomed = false;
  let live = false;
  let cursor: Base = baseOf(POSITION_ZERO);
  /** Sent, oldest first: not durable from `durableCount` on, not visible at all. */
  let sent: Sent[] = [];
  let durableCount = 0;

  function pump(): void {
    while (live && link.ready()) {
      const inFlight = sent.slice(durableCount);
      const bytes = inFlight.reduce((sum, each) => sum + each.bytes, 0);
      if (inFlight.length >= IN_FLIGHT_MAX || bytes >= IN_FLIGHT_BYTES_MAX) return;
      const delta = source.ring.after(cursor);
      if (!delta) {
        // It fell out of the ring: the next session begins with a catch-up.
        if (!sameBase(cursor, baseOf(source.position()))) link.close();
        return;
      }
      link.send(delta.frames);
      known.deltaBytes += delta.bytes;
      cursor = baseOf(delta.position);
      sent.push({ position: delta.position, bytes: delta.bytes });
    }
  }

  /** Positions are matched exactly: what the shadow had before a catch-up may carry a higher version of another history. */
  function acknowledge(durable: Position, visible: Position): void {
    const placeOf = (position: Position) =>
      sent.findIndex((each) => sameBase(baseOf(each.position), baseOf(position)));
    durableCount = Math.max(durableCount, placeOf(durable) + 1);
    if (durableCount > 0) known.durable = sent[durableCount - 1]!.position;
    const seen = placeOf(visible) + 1;
    if (seen === 0) return;
    known.visible = sent[seen - 1]!.position;
    // The first thing sent after a catch-up is the catch-up itself.
    if (live) known.phase = "live";
    sent = sent.slice(seen);
    durableCount = Math.max(0, durableCount - seen);
  }

  async function* frames(): AsyncGenerator<Frame> {
    for await (const raw of link.frames()) {
      known.heardAtMs = source.bootMs();
      const frame = decodeFrame(raw);
      if (frame.type === "refuse") throw refusal(target, frame);
      yield frame;
    }
  }

  async function follow(incoming: AsyncGenerator<Frame>): Promise<void> {
    for await (const frame of incoming) {
      if (frame.type !== "progress")
        throw new MirrorError("garbage", `${frame.type} frame from ${target.instance}`);
      acknowledge(frame.durable, frame.visible);
      pump();
      source.onChange();
    }
    throw new MirrorError("unreachable", `${target.instance} at ${target.address} closed the connection`);
  }

  async function bringUp(incoming: AsyncGenerator<Frame>, base: Base): Promise<void> {
    link.send([encodeFrame({ type: "ask" })]);
    const theirs = await receiveManifest(incoming, base.root);
    const isSeed = theirs.entries.size === 0;
    known.phase = "seeding";
    [known.seedDoneBytes, known.seedTotalBytes] = [0, 0];
    const copy = catchUp({
      ...source,
      base,
      theirs,
      onTotal(bytes) {
        known.seedTotalBytes = bytes;
      },
      async send(batch, payloadBytes) {
        await link.untilReady();
        link.send(batch);
        const bytes = batch.reduce((sum, frame) => sum + frame.length, 0);
        if (isSeed) known.seedBytes += bytes;
        else known.deltaBytes += bytes;
        known.seedDoneBytes += payloadBytes;
        known.seedTotalBytes = Math.max(known.seedTotalBytes, known.seedDoneBytes);
      },
    }).then((position) => {
      cursor = baseOf(position);
      sent.push({ position, bytes: 0 });
      live = true;
      pump();
    });
    await Promise.race([follow(incoming), copy.then(() => new Promise<never>(() => undefined))]);
  }

  async function meet(incoming: AsyncGenerator<Frame>): Promise<void> {
    const { resource } = source;
    const { instance, incarnation } = target;
    link.send([encodeFrame({ type: "hello", resource, instance, incarnation, position: source.position() })]);
    const { value: welcome } = await incoming.next();
    if (welcome?.type !== "welcome") throw new MirrorError("unreachable", `${instance} did not answer`);
    welcomed = true;
    const base = baseOf(welcome.durable);
    const isOurs =
      base.version > 0 &&
      (sameBase(base, baseOf(source.position())) || source.ring.after(base) !== undefined);
    // Elsewhere in history than we have been: it counts for nothing until it has caught up.
    known.durable = isOurs ? welcome.durable : POSITION_ZERO;
    known.visible = isOurs ? welcome.visible : POSITION_ZERO;
    if (!isOurs) return bringUp(incoming, base);
    cursor = base;
    sent = welcome.visible.version < base.version ? [{ position: welcome.durable, bytes: 0 }] : [];
    durableCount = sent.length;
    live = true;
    known.phase = "live";
    source.onChange();
    pump();
    return follow(incoming);
  }

  return {
    get welcomed() {
      return welcomed;
    },
    pump,
    async run(signal) {
      const close = () => link.close();
      signal.addEventListener("abort", close);
      link.onDrain(pump);
      const beat = setInterval(() => {
        if (source.bootMs() - known.heardAtMs > SILENCE_MAX_MS) link.close();
        else if (welcomed && link.ready())
          link.send([encodeFrame({ type: "heartbeat", position: source.position() })]);
      }, HEARTBEAT_MS);
      known.heardAtMs = source.bootMs();
      try {
        await meet(frames());
      } finally {
        clearInterval(beat);
        signal.removeEventListener("abort", close);
        link.close();
      }
    },
  };
}

function refusal(target: FeedTarget, { why, reason }: Extract<Frame, { type: "refuse" }>): MirrorError {
  const code = why === "stale-epoch" || why === "clock" ? why : "refused";
  return new MirrorError(code, `${target.instance} refuses: ${reason}`);
}
