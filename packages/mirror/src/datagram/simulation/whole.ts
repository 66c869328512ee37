/**
 * Both true ends of a seed with true datagrams on a simulated link, in simulated time: everything but the sockets. The
 * consumer may rest, threads are late, the link may lose, repeat, hold back and be cut. What comes out is what arrived,
 * how long at most nothing did, and how it ended.
 */

import { datagramKeys, EXPORTED_BYTES } from "../keys.ts";
import { fragmentBytes as fragmentBytesOf } from "../packets.ts";
import { receivingEnd } from "../receiving.ts";
import { sendingEnd, type Verdict } from "../sending.ts";
import { type Events, events } from "./events.ts";
import { type LinkShape, type SimulatedLink, simulatedLink } from "./link.ts";
import { type Machine, simulatedThread } from "./ours.ts";

const PUMP_MS = 1.16;
const TICK_MS = 10;
const VERDICT_MS = 50;
const MTU = 1_500;
const IP_BYTES = 28;
const keys = datagramKeys(Uint8Array.from({ length: EXPORTED_BYTES }, (_, index) => index));

export type WholeSetting = {
  readonly there: LinkShape;
  readonly back: LinkShape;
  readonly random: () => number;
  readonly blocks: number;
  readonly endMs: number;
  /** Nothing passes in either direction between these. */
  readonly cuts?: readonly { readonly fromMs: number; readonly toMs: number }[];
  /** From then on only datagrams up to this size pass. */
  readonly narrow?: { readonly fromMs: number; readonly bytes: number };
  readonly repeats?: number;
  /** The consumer takes nothing between these. */
  readonly rests?: readonly { readonly fromMs: number; readonly toMs: number }[];
  readonly machine?: Machine;
  readonly rttGuessMs?: number;
};

export type WholeRun = {
  readonly isWhole: boolean;
  readonly verdict: Verdict | undefined;
  readonly tookMs: number;
  /** The longest time in which nothing new arrived though there was something to send. */
  readonly stillMs: number;
  readonly packets: number;
};

export function wholeTransfer(setting: WholeSetting): WholeRun {
  const world = events();
  const { random, blocks, cuts = [], rests = [], repeats = 0, narrow, machine } = setting;
  const quick: Machine = { pauseEveryMs: 1, pauseMs: 0 };
  const there = simulatedLink(world, setting.there, random);
  const back = simulatedLink(world, setting.back, random);
  const senderThread = simulatedThread(world, machine ?? quick, random);
  const receiverThread = simulatedThread(world, machine ?? quick, random);
  const fragmentBytes = fragmentBytesOf(MTU, "IPv4");
  const rttMs = setting.rttGuessMs ?? setting.there.delayMs + setting.back.delayMs;
  const sender = sendingEnd({ keys, fragmentBytes, rttMs: Math.max(0.1, rttMs) }, 0);
  const receiver = receivingEnd(keys, 0);
  for (let index = 0; index < blocks; index += 1) {
    const plain = new Uint8Array(sender.blockBytes);
    new DataView(plain.buffer).setUint32(0, index);
    sender.push(plain);
  }
  const got: number[] = [];
  let [waiting, verdict, doneMs] = [0, undefined as Verdict | undefined, 0];
  let [newsAtMs, stillMs, packets, heard] = [0, 0, 0, 0];
  const isOver = () => doneMs > 0 || verdict !== undefined;
  const within = (spans: readonly { fromMs: number; toMs: number }[]) =>
    spans.find(({ fromMs, toMs }) => world.nowMs >= fromMs && world.nowMs < toMs);

  function carry(link: SimulatedLink, datagram: Buffer, arrive: (copy: Buffer) => void): void {
    if (within(cuts) || (narrow && world.nowMs >= narrow.fromMs && datagram.length > narrow.bytes)) return;
    const copy = Buffer.from(datagram);
    const copies = random() < repeats ? 2 : 1;
    for (let each = 0; each < copies; each += 1) link.send(copy.length + IP_BYTES, () => arrive(copy));
  }

  function arrive(datagram: Buffer): void {
    if (isOver()) return;
    const { blocks: ready } = receiver.hear(datagram, world.nowMs);
    heard += 1;
    if (datagram.length > 1_000) {
      stillMs = Math.max(stillMs, world.nowMs - newsAtMs);
      newsAtMs = world.nowMs;
    }
    for (const block of ready) got.push(block.readUInt32BE(0));
    waiting += ready.length;
    consume();
    tellIfDue();
  }

  function consume(): void {
    const rest = within(rests);
    if (rest) {
      world.at(rest.toMs, consume);
      newsAtMs = Math.max(newsAtMs, rest.toMs);
      return;
    }
    if (waiting > 0) receiver.take(waiting);
    waiting = 0;
  }

  function tellIfDue(): void {
    const report = receiver.report(world.nowMs);
    if (report)
      carry(back, report, (copy) =>
        senderThread(() => {
          sender.hear(copy, world.nowMs);
          if (sender.taken === blocks && doneMs === 0) doneMs = world.nowMs;
          pump();
        }),
      );
  }

  function pump(): void {
    if (isOver()) return;
    for (let out = sender.next(world.nowMs); out; out = sender.next(world.nowMs)) {
      packets += 1;
      carry(there, out, (copy) => receiverThread(() => arrive(copy)));
    }
  }

  every(world, PUMP_MS, () => senderThread(pump), isOver);
  every(world, TICK_MS, () => receiverThread(tellIfDue), isOver);
  every(
    world,
    VERDICT_MS,
    () => {
      verdict ??= sender.verdict(world.nowMs) ?? receiver.verdict(world.nowMs);
    },
    isOver,
  );
  world.run(setting.endMs, isOver);
  if (doneMs === 0) stillMs = Math.max(stillMs, world.nowMs - newsAtMs);
  return {
    isWhole: got.length === blocks && got.every((number, index) => number === index) && heard > 0,
    verdict,
    tookMs: doneMs || world.nowMs,
    stillMs,
    packets,
  };
}

function every(world: Events, ms: number, work: () => void, isOver: () => boolean): void {
  const turn = () => {
    if (isOver()) return;
    work();
    world.at(world.nowMs + ms, turn);
  };
  world.at(0, turn);
}
