/**
 * One session of a primary with one shadow: finds out where the shadow stands, brings it up to date and then sends each
 * delta as it is sealed. It never waits for the shadow: what the shadow has not acknowledged is bounded, and one that
 * falls out of the ring of recent deltas starts over with a catch-up in the next session.
 */

import { POSITION_ZERO, type Position } from "@understudy/model/position";
import { type CatchUp, catchUp } from "./catch-up.ts";
import type { Base } from "./change.ts";
import {
  offerSeed,
  type SeedCarrier,
  type SeedOffer,
  type SeedOptions,
  tlsCarrier,
} from "./datagram/seed-out.ts";
import { baseOf, sameBase } from "./delta.ts";
import type { ShadowProgress } from "./engine.ts";
import { MirrorError } from "./error.ts";
import { decodeFrame, encodeFrame, type Frame } from "./frames.ts";
import type { SealLog } from "./lag.ts";
import type { Manifest } from "./manifest.ts";
import { receiveManifest } from "./manifest-wire.ts";
import type { DeltaRing } from "./ring.ts";
import type { Link, Transport } from "./transport.ts";
import { sendWindow } from "./window.ts";

export const HEARTBEAT_MS = 400;
/** A connection over which nothing came for so long is given up. */
const SILENCE_MAX_MS = 5_000;
/** After UDP has failed in mid-seed, seeds of this shadow go over TLS for so long. */
const UDP_REST_MS = 600_000;

/** What a feed needs from its primary. */
export type FeedSource = Pick<CatchUp, "capture" | "epoch" | "seal" | "exclusive"> & {
  readonly resource: string;
  readonly ring: DeltaRing;
  readonly seals: SealLog;
  readonly position: () => Position;
  readonly bootMs: () => number;
  readonly transport: Transport;
  readonly seed: (address: string) => SeedOptions;
  readonly onChange: () => void;
  readonly onError: (error: Error) => void;
};

export type FeedTarget = {
  readonly instance: string;
  readonly incarnation: string;
  readonly address: string;
};

/** What is known of a shadow, kept from one session to the next. */
export type Known = {
  phase: ShadowProgress["phase"];
  durable: Position;
  visible: Position;
  heardAtMs: number;
  seedBytes: number;
  deltaBytes: number;
  seedDoneBytes: number;
  seedTotalBytes: number;
  /** How the last or present seed goes. */
  transport: "tls" | "udp";
  /** UDP let a seed down in mid-way: not again before. */
  udpAgainAtMs: number;
};

export type FeedSession = {
  /** The shadow has answered. */
  readonly welcomed: boolean;
  /** Sends whatever may be sent now. */
  pump(): void;
  /** Always ends with an error: it has no other end but a lost or refused connection. */
  run(signal: AbortSignal): Promise<void>;
};

export function openFeedSession(
  source: FeedSource,
  target: FeedTarget,
  { known, link }: { known: Known; link: Link },
): FeedSession {
  const window = sendWindow();
  let welcomed = false;
  /** Where the next delta has to begin; undefined while the shadow is being brought up to date. */
  let cursor: Base | undefined;
  let offer: SeedOffer | undefined;
  let carrier: SeedCarrier | undefined;

  function pump(): void {
    while (cursor && link.ready() && !window.full()) {
      const delta = source.ring.after(cursor);
      if (!delta) {
        // It fell out of the ring.
        if (!sameBase(cursor, baseOf(source.position()))) link.close();
        return;
      }
      link.send(delta.frames);
      known.deltaBytes += delta.bytes;
      cursor = baseOf(delta.position);
      window.add(delta.position, delta.bytes);
    }
  }

  function acknowledge({ durable, visible }: Extract<Frame, { type: "progress" }>): void {
    const news = window.acknowledge(durable, visible);
    known.durable = news.durable ?? known.durable;
    known.visible = news.visible ?? known.visible;
    // The first thing shown after a catch-up is the catch-up itself.
    if (news.visible && cursor) known.phase = "live";
    pump();
    // Most answer a heartbeat and say what is known: nobody has to look at all shadows again for that.
    if (news.durable || news.visible) source.onChange();
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
      if (frame.type === "seedAnswer") {
        offer?.answer(frame.port);
        continue;
      }
      if (frame.type !== "progress") {
        throw new MirrorError("garbage", `${frame.type} frame from ${target.instance}`);
      }
      acknowledge(frame);
    }
    throw new MirrorError("unreachable", `${target.instance} at ${target.address} closed the connection`);
  }

  async function copy(theirs: Manifest, base: Base): Promise<void> {
    const isSeed = theirs.entries.size === 0;
    try {
      carrier = isSeed ? await chooseCarrier() : tlsCarrier(link);
      const position = await copyOver(carrier, { theirs, base, isSeed });
      window.add(position, 0);
      cursor = baseOf(position);
    } finally {
      carrier?.close();
    }
    pump();
  }

  async function chooseCarrier(): Promise<SeedCarrier> {
    const wanted = source.seed(target.address);
    const over = source.bootMs() < known.udpAgainAtMs ? "tls" : wanted.over;
    offer = offerSeed(link, { ...wanted, over, bytes: source.capture.manifest.bytes });
    const chosen = await offer.carrier();
    known.transport = chosen.transport;
    source.onChange();
    return chosen;
  }

  async function copyOver(
    by: SeedCarrier,
    { theirs, base, isSeed }: { theirs: Manifest; base: Base; isSeed: boolean },
  ): Promise<Position> {
    const position = await catchUp({
      ...source,
      base,
      theirs,
      onTotal(bytes) {
        known.seedTotalBytes = bytes;
      },
      async send(batch, payloadBytes) {
        await by.send(batch);
        const bytes = batch.reduce((sum, frame) => sum + frame.length, 0);
        if (isSeed) known.seedBytes += bytes;
        else known.deltaBytes += bytes;
        known.seedDoneBytes += payloadBytes;
        known.seedTotalBytes = Math.max(known.seedTotalBytes, known.seedDoneBytes);
      },
    });
    await by.finish();
    return position;
  }

  async function bringUp(incoming: AsyncGenerator<Frame>, base: Base): Promise<void> {
    [known.durable, known.visible, known.phase] = [POSITION_ZERO, POSITION_ZERO, "seeding"];
    [known.seedDoneBytes, known.seedTotalBytes] = [0, 0];
    link.send([encodeFrame({ type: "ask" })]);
    const theirs = await receiveManifest(incoming, base.root);
    // Both at once: acknowledgements come while it is copied, and the end of either with an error ends the session.
    await Promise.all([follow(incoming), copy(theirs, base)]);
  }

  function goOn({ durable, visible }: Extract<Frame, { type: "welcome" }>): void {
    [known.durable, known.visible, known.phase] = [durable, visible, "live"];
    if (!sameBase(baseOf(visible), baseOf(durable))) {
      window.add(durable, 0);
      window.acknowledge(durable, visible);
    }
    cursor = baseOf(durable);
    source.onChange();
    pump();
  }

  async function meet(incoming: AsyncGenerator<Frame>): Promise<void> {
    const { resource, position, ring } = source;
    const { instance, incarnation } = target;
    link.send([encodeFrame({ type: "hello", resource, instance, incarnation, position: position() })]);
    const { value: welcome } = await incoming.next();
    if (welcome?.type !== "welcome") throw new MirrorError("unreachable", `${instance} did not answer`);
    welcomed = true;
    const base = baseOf(welcome.durable);
    // The same number and contents under an older epoch are not where we stand: it would wait for the next change to hear of ours.
    const isHere = sameBase(base, baseOf(position())) && welcome.durable.epoch === position().epoch;
    const isOurs = isHere || ring.after(base) !== undefined;
    // Elsewhere in history than we have been, or at no version at all: it counts for nothing until it has caught up.
    if (!isOurs || base.version === 0) return bringUp(incoming, base);
    goOn(welcome);
    return follow(incoming);
  }

  function beat(): void {
    if (source.bootMs() - known.heardAtMs > SILENCE_MAX_MS) {
      link.close();
      return;
    }
    if (!welcomed || !link.ready()) return;
    link.send([encodeFrame({ type: "heartbeat", position: source.position() })]);
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
      known.heardAtMs = source.bootMs();
      const timer = setInterval(beat, HEARTBEAT_MS);
      try {
        await meet(frames());
      } catch (error) {
        // Whatever ended it while a seed was on its way over UDP: the next one does not depend on UDP.
        if (offer && !cursor && !signal.aborted) known.udpAgainAtMs = source.bootMs() + UDP_REST_MS;
        throw error;
      } finally {
        clearInterval(timer);
        signal.removeEventListener("abort", close);
        // Whoever still waits to write learns of it now, and not when the datagrams have been silent for long.
        carrier?.close();
        link.close();
      }
    },
  };
}

function refusal(target: FeedTarget, { why, reason }: Extract<Frame, { type: "refuse" }>): MirrorError {
  const code = why === "stale-epoch" || why === "clock" || why === "version" ? why : "refused";
  return new MirrorError(code, `${target.instance} refuses: ${reason}`);
}
