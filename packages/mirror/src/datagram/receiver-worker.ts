/** The receiving end's thread: owns the socket and the clock around inbox.ts and runs.ts. */

import { createSocket, type RemoteInfo } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { BROKEN_MAX, inbox } from "./inbox.ts";
import { headerTags, openSmall, sealSmall } from "./keys.ts";
import {
  decodeStatus,
  encodeReport,
  HEADER_BYTES,
  MTU_MAX,
  NUMBER_MAX,
  REDO_MAX,
  RUNS_MAX,
  readHeader,
  readSealed,
  type Sealed,
} from "./packets.ts";
import { PROBES_MAX } from "./probe.ts";
import type { FromReceiver, ReceiverSetup, ToReceiver } from "./receiver.ts";
import { arrivals } from "./runs.ts";

const SILENCE_MS_MAX = 5_000;
const SOCKET_BYTES = 4 * 1024 * 1024;
const REPORT_MS_FIRST = 10;
const REPORT_MS_RANGE = [5, 100] as const;
/** The handler of messages reports when it is time; this is for when none come. */
const BACKSTOP_MS = 10;

const { keys, host } = workerData as ReceiverSetup;
const parent: MessagePort = parentPort!;
const tell = (message: FromReceiver, transfer: ArrayBuffer[] = []) => parent.postMessage(message, transfer);

const socket = createSocket({ type: isIPv6(host) ? "udp6" : "udp4" });
const packets = arrivals();
const box = inbox(keys);
const tags = headerTags(keys);
const probed = new Set<number>();
/** Where a datagram of ours last came from: reports go there. */
let peer: RemoteInfo | undefined;
let [reportMs, reportedAtMs, reportNumber] = [REPORT_MS_FIRST, 0, 0];
let [heardAtMs, highestAtMs, changed] = [performance.now(), 0, false];
let newestAtMs = 0;

socket.on("error", () => undefined);
socket.bind({ address: host, port: 0 });
await once(socket, "listening");
socket.setRecvBufferSize(SOCKET_BYTES);
socket.on("message", receive);
const timer = setInterval(tick, BACKSTOP_MS);
parent.on("message", (message: ToReceiver) => {
  if (message.kind === "close") return shut();
  box.take(message.blocks);
  changed = true;
});
tell({ kind: "listening", port: socket.address().port });

function shut(): void {
  clearInterval(timer);
  socket.close();
  parent.close();
}

function fail(code: "garbage" | "unreachable", reason: string): void {
  tell({ kind: "failed", code, reason });
  shut();
}

function tick(): void {
  const nowMs = performance.now();
  if (nowMs - heardAtMs > SILENCE_MS_MAX)
    fail("unreachable", `nothing came over UDP for ${SILENCE_MS_MAX / 1000} s`);
  else reportIfDue(nowMs);
}

function receive(datagram: Buffer, from: RemoteInfo): void {
  if (datagram.length > MTU_MAX) return;
  const nowMs = performance.now();
  if (!receiveData(datagram, nowMs)) receiveSealed(datagram, { from, nowMs });
  reportIfDue(nowMs);
}

/** False when it is no data. */
function receiveData(datagram: Buffer, nowMs: number): boolean {
  const header = readHeader(datagram);
  if (!header) return false;
  const tag = () => tags.tag(header, datagram.length - HEADER_BYTES);
  if (!packets.wants(header.packet) || header.tag !== tag()) return true;
  if (box.add(header, datagram.subarray(HEADER_BYTES)) === "outside") return true;
  arrive(header.packet, nowMs);
  if (box.broken > BROKEN_MAX) fail("garbage", `${box.broken} blocks of the seed came with broken seals`);
  const blocks = box.ready();
  if (blocks.length > 0)
    tell(
      { kind: "blocks", blocks },
      blocks.filter(isWhole).map((block) => block.buffer as ArrayBuffer),
    );
  return true;
}

/** Alone in its memory, which then moves to the other thread without being copied. */
function isWhole(block: Buffer): boolean {
  return block.byteLength === block.buffer.byteLength;
}

function arrive(packet: number, nowMs: number): void {
  if (packet > packets.highest) highestAtMs = nowMs;
  packets.add(packet);
  [heardAtMs, newestAtMs, changed] = [nowMs, nowMs, true];
}

function receiveSealed(datagram: Buffer, { from, nowMs }: { from: RemoteInfo; nowMs: number }): void {
  const sealed = readSealed(datagram);
  if (sealed?.kind === "probe") echo(sealed, from);
  if (sealed?.kind !== "status" || !packets.wants(sealed.number)) return;
  const body = openSmall(keys.fromSender, sealed);
  const status = body && decodeStatus(body);
  if (!status) return;
  if (sealed.number > packets.highest) peer = from;
  arrive(sealed.number, nowMs);
  packets.raiseFloor(status.floor);
  reportMs = Math.min(REPORT_MS_RANGE[1], Math.max(REPORT_MS_RANGE[0], status.reportMs));
}

/** Each once: a probe that is sent again and again by somebody else is answered once. */
function echo(sealed: Sealed, from: RemoteInfo): void {
  const { number } = sealed;
  if (number >= PROBES_MAX || probed.has(number) || !openSmall(keys.fromSender, sealed)) return;
  probed.add(number);
  peer ??= from;
  heardAtMs = performance.now();
  socket.send(
    sealSmall(keys.fromReceiver, "echo", { number, body: Buffer.alloc(0) }),
    from.port,
    from.address,
  );
}

function reportIfDue(nowMs: number): void {
  if (!changed || !peer || nowMs - reportedAtMs < reportMs || reportNumber >= NUMBER_MAX) return;
  const body = encodeReport({
    floor: packets.floor,
    highest: Math.max(0, packets.highest),
    received: packets.count,
    disorder: packets.disorder,
    newestAtUs: Math.round(newestAtMs * 1000) % (NUMBER_MAX + 1),
    delayUs: Math.round((nowMs - highestAtMs) * 1000) % (NUMBER_MAX + 1),
    duplicates: box.duplicates,
    taken: box.taken,
    limit: box.limit,
    redo: box.redo.slice(0, REDO_MAX),
    runs: packets.runs(RUNS_MAX),
  });
  socket.send(
    sealSmall(keys.fromReceiver, "report", { number: reportNumber, body }),
    peer.port,
    peer.address,
  );
  reportNumber += 1;
  [reportedAtMs, changed] = [nowMs, false];
}
