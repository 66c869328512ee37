import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "@understudy/testkit/random";
import { datagramKeys, EXPORTED_BYTES } from "../src/datagram/keys.ts";
import { type DatagramReceiver, openDatagramReceiver } from "../src/datagram/receiver.ts";
import { type DatagramSender, openDatagramSender } from "../src/datagram/sender.ts";

import { MirrorError } from "../src/error.ts";

const HOST = "127.0.0.1";
const keys = datagramKeys(Uint8Array.from({ length: EXPORTED_BYTES }, (_, index) => index));
const PATH = { answered: true, rttMs: 1, lossShare: 0, mtu: 1_500 } as const;

/** Between the two ends: whatever `meddle` makes of a datagram goes on. Returns where the sender has to send to. */
async function meddler(
  t: TestContext,
  port: number,
  meddle: (datagram: Buffer) => readonly Buffer[],
): Promise<number> {
  const near = createSocket("udp4").bind(0, HOST);
  const far = createSocket("udp4").bind(0, HOST);
  await Promise.all([once(near, "listening"), once(far, "listening")]);
  t.after(() => [near, far].map((socket: Socket) => socket.close()));
  let peer = { port: 0, address: HOST };
  near.on("message", (datagram, from) => {
    peer = from;
    for (const each of meddle(datagram)) far.send(each, port, HOST);
  });
  far.on("message", (datagram) => {
    for (const each of meddle(datagram)) near.send(each, peer.port, peer.address);
  });
  return near.address().port;
}

async function ends(
  t: TestContext,
  meddle: (datagram: Buffer) => readonly Buffer[],
): Promise<{ sender: DatagramSender; receiver: DatagramReceiver }> {
  const receiver = await openDatagramReceiver({ keys, host: HOST });
  const port = await meddler(t, receiver.port, meddle);
  const sender = openDatagramSender({ keys, host: HOST, port, limitMbps: 40 });
  t.after(() => {
    sender.close();
    receiver.close();
  });
  return { sender, receiver };
}

async function received(receiver: DatagramReceiver, length: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const blocks = receiver.blocks();
  for (let bytes = 0; bytes < length; bytes += parts.at(-1)!.length) parts.push((await blocks.next()).value!);
  // Asking for more says that the last one is taken; there is no more before the test closes the receiver.
  blocks.next().catch(() => undefined);
  return Buffer.concat(parts);
}

/** All of it handed over, the last part of a block included; an error of the sender is an error of the test. */
async function written(sender: DatagramSender, bytes: Uint8Array): Promise<void> {
  await sender.write(bytes);
  await sender.finish();
}

test("lost, repeated, late, truncated, changed and invented datagrams cost repairs and nothing else", async (t) => {
  const random = seededRandom(7).next;
  const held: Buffer[] = [];
  const { sender, receiver } = await ends(t, (datagram) => {
    const chance = random();
    if (chance < 0.02) return [];
    if (chance < 0.04) return [datagram, datagram];
    if (chance < 0.06) return [datagram.subarray(0, Math.floor(random() * datagram.length)), datagram];
    if (chance < 0.08) return [Buffer.from(datagram.map((byte, at) => (at === 9 ? byte ^ 1 : byte)))];
    if (chance < 0.1) return [randomFillSync(Buffer.alloc(1 + Math.floor(random() * 1_472))), datagram];
    if (chance < 0.12) {
      held.push(datagram);
      return [];
    }
    return [datagram, ...held.splice(0)];
  });
  await sender.start(PATH);
  const bytes = randomFillSync(Buffer.alloc(6_000_000));
  const [got] = await Promise.all([received(receiver, bytes.length), written(sender, bytes)]);
  assert.ok(got.equals(bytes));
});

test("payloads changed by somebody on the way are found and sent again", async (t) => {
  let changed = 0;
  const { sender, receiver } = await ends(t, (datagram) => {
    if (datagram.length < 1_000 || changed >= 20 || Math.random() > 0.05) return [datagram];
    changed += 1;
    const other = Buffer.from(datagram);
    other[500]! ^= 1;
    return [other];
  });
  await sender.start(PATH);
  const bytes = randomFillSync(Buffer.alloc(5_000_000));
  const [got] = await Promise.all([received(receiver, bytes.length), written(sender, bytes)]);
  assert.ok(got.equals(bytes));
  assert.equal(changed, 20);
});

test("somebody who changes payloads for ever ends the session with one clear error", async (t) => {
  const { sender, receiver } = await ends(t, (datagram) => {
    if (datagram.length > 1_000) datagram[500]! ^= 1;
    return [datagram];
  });
  await sender.start(PATH);
  sender.write(new Uint8Array(9_000_000)).catch(() => undefined);
  await assert.rejects(
    received(receiver, 9_000_000),
    (error) => error instanceof MirrorError && error.code === "garbage",
  );
});

test("a consumer that stops stops the sender, and nothing is lost when it goes on", async (t) => {
  const { sender, receiver } = await ends(t, (datagram) => [datagram]);
  await sender.start(PATH);
  const bytes = randomFillSync(Buffer.alloc(24_000_000));
  let accepted = 0;
  const writing = (async () => {
    for (let at = 0; at < bytes.length; at += 500_000) {
      await sender.write(bytes.subarray(at, at + 500_000));
      accepted = at + 500_000;
    }
    await sender.finish();
  })();
  while (accepted < 17_000_000) await sleep(20);
  await sleep(1_000);
  assert.ok(accepted < 19_000_000, `${accepted} bytes accepted with nobody taking any`);
  const [got] = await Promise.all([received(receiver, bytes.length), writing]);
  assert.ok(got.equals(bytes));
});

test("a path that falls silent is given up in bounded time, at both ends", async (t) => {
  let isCut = false;
  const { sender, receiver } = await ends(t, (datagram) => (isCut ? [] : [datagram]));
  await sender.start(PATH);
  await Promise.all([received(receiver, 1_000), sender.write(new Uint8Array(1_000_000))]);
  isCut = true;
  const isSilence = (error: unknown) => error instanceof MirrorError && error.code === "unreachable";
  const writing = (async () => {
    for (;;) await sender.write(new Uint8Array(1_000_000));
  })();
  await Promise.all([assert.rejects(writing, isSilence), assert.rejects(received(receiver, 1e9), isSilence)]);
});

test("nobody at the other end: the probe says so within two seconds", async (t) => {
  const sender = openDatagramSender({ keys, host: HOST, port: 9, limitMbps: undefined });
  t.after(() => sender.close());
  assert.deepEqual(await sender.probe(), { answered: false });
});
