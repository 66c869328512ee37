/** The receiving end's thread: owns the socket and the clock around receiving.ts, and decides nothing. */

import { createSocket, type RemoteInfo } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { FromReceiver, ReceiverSetup, ToReceiver } from "./receiver.ts";
import { receivingEnd } from "./receiving.ts";

const SOCKET_BYTES = 4 * 1024 * 1024;
/** The handler of messages reports when it is time; this is for when none come. */
const BACKSTOP_MS = 10;

const { keys, host } = workerData as ReceiverSetup;
const parent: MessagePort = parentPort!;
const tell = (message: FromReceiver, transfer: ArrayBuffer[] = []) => parent.postMessage(message, transfer);

const socket = createSocket({ type: isIPv6(host) ? "udp6" : "udp4" });
const end = receivingEnd(keys, performance.now());
/** Where a datagram of ours last came from: reports go there. */
let peer: RemoteInfo | undefined;

socket.on("error", () => undefined);
socket.bind({ address: host, port: 0 });
await once(socket, "listening");
socket.setRecvBufferSize(SOCKET_BYTES);
socket.on("message", receive);
const timer = setInterval(tick, BACKSTOP_MS);
parent.on("message", (message: ToReceiver) => {
  if (message.kind === "close") return shut();
  end.take(message.blocks);
});
tell({ kind: "listening", port: socket.address().port });

function shut(): void {
  clearInterval(timer);
  socket.close();
  parent.close();
}

function tick(): void {
  const nowMs = performance.now();
  const verdict = end.verdict(nowMs);
  if (!verdict) {
    reportIfDue(nowMs);
    return;
  }
  tell({ kind: "failed", ...verdict });
  shut();
}

function receive(datagram: Buffer, from: RemoteInfo): void {
  const nowMs = performance.now();
  const { blocks, echo, isPeer } = end.hear(datagram, nowMs);
  if (isPeer) peer = from;
  if (echo) socket.send(echo, from.port, from.address);
  if (blocks.length > 0)
    tell(
      { kind: "blocks", blocks },
      blocks.filter(isWhole).map((block) => block.buffer as ArrayBuffer),
    );
  reportIfDue(nowMs);
}

/** Alone in its memory, which then moves to the other thread without being copied. */
function isWhole(block: Buffer): boolean {
  return block.byteLength === block.buffer.byteLength;
}

function reportIfDue(nowMs: number): void {
  const report = peer && end.report(nowMs);
  if (report) socket.send(report, peer!.port, peer!.address);
}
