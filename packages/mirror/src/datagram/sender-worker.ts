/** The sending end's thread: owns the socket and the timers around probe.ts and sending.ts, and decides nothing. */

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { openSmall, sealSmall } from "./keys.ts";
import {
  fragmentBytes,
  IPV4_OVERHEAD,
  IPV6_OVERHEAD,
  MTU_MAX,
  readSealed,
  SEALED_OVERHEAD,
} from "./packets.ts";
import { prober } from "./probe.ts";
import type { FromSender, SenderSetup, ToSender } from "./sender.ts";
import { sendingEnd } from "./sending.ts";

const PUMP_MS = 1;
/** One turn sends no more than this time's worth, so that reports are read in between. */
const TURN_MS = 3;
const TURN_PACKETS_MIN = 8;
const SOCKET_BYTES = 4 * 1024 * 1024;
/** Unsent in the socket: the machine is slower than the path. */
const QUEUE_BYTES_MAX = 1024 * 1024;
const STATS_MS = 50;
const FRAME_OVERHEAD = 38;

const { keys, host, port, limitMbps } = workerData as SenderSetup;
const parent: MessagePort = parentPort!;
const tell = (message: FromSender) => parent.postMessage(message);
const family = isIPv6(host) ? "IPv6" : "IPv4";
const overhead = family === "IPv6" ? IPV6_OVERHEAD : IPV4_OVERHEAD;

const socket = await connected();
parent.once("message", (message: ToSender) => {
  if (message.kind !== "start") return shut();
  run(message);
});
await probe();

async function connected(): Promise<Socket> {
  const made = createSocket(family === "IPv6" ? "udp6" : "udp4");
  // A port that is closed at the other end is silence, and silence has its own bound.
  made.on("error", () => undefined);
  made.connect(port, host);
  await once(made, "connect");
  made.setSendBufferSize(SOCKET_BYTES);
  return made;
}

function shut(): void {
  socket.close();
  parent.close();
}

/** What our own interface carries; a larger probe would be split and look as if it had arrived. */
function interfaceMtu(): number {
  const { address } = socket.address();
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (!addresses?.some((each) => each.address === address)) continue;
    try {
      return Math.min(MTU_MAX, Number(readFileSync(`/sys/class/net/${name}/mtu`, "latin1")) || MTU_MAX);
    } catch {
      return MTU_MAX;
    }
  }
  return MTU_MAX;
}

async function probe(): Promise<void> {
  const tries = prober(performance.now(), interfaceMtu());
  const hear = (datagram: Buffer) => {
    const sealed = readSealed(datagram);
    if (sealed?.kind === "echo" && openSmall(keys.fromReceiver, sealed))
      tries.hear(sealed.number, performance.now());
  };
  socket.on("message", hear);
  const timer = setInterval(() => {
    const nowMs = performance.now();
    for (const { number, bytes } of tries.due(nowMs)) {
      const body = Buffer.alloc(bytes - overhead - SEALED_OVERHEAD);
      socket.send(sealSmall(keys.fromSender, "probe", { number, body }));
    }
    const result = tries.result(nowMs);
    if (!result) return;
    clearInterval(timer);
    socket.off("message", hear);
    tell({ kind: "probed", probe: result });
  }, 1);
}

function run({ mtu, rttMs }: Extract<ToSender, { kind: "start" }>): void {
  const packetBits = 8 * (mtu + FRAME_OVERHEAD);
  const end = sendingEnd(
    {
      keys,
      fragmentBytes: fragmentBytes(mtu, family),
      rttMs,
      ...(limitMbps && { rateMax: (limitMbps * 1000) / packetBits }),
    },
    performance.now(),
  );
  const { congestion } = end.dispatch;
  let [sentBytes, taken] = [0, 0];

  function pump(): void {
    const nowMs = performance.now();
    const most = Math.max(TURN_PACKETS_MIN, TURN_MS * congestion.rate);
    for (let turn = 0; turn < most && socket.getSendQueueSize() < QUEUE_BYTES_MAX; turn += 1) {
      const datagram = end.next(nowMs);
      if (!datagram) break;
      socket.send(datagram, 0, datagram.length);
      sentBytes += datagram.length;
    }
  }

  function tellStats(): void {
    const { rttMs: nowRttMs, lossShare, phase } = congestion;
    const { duplicates, dispatch } = end;
    tell({
      kind: "stats",
      stats: { ...dispatch.sent, sentBytes, duplicates, rttMs: nowRttMs, lossShare, phase, mtu },
    });
  }

  function close(): void {
    clearInterval(pumping);
    clearInterval(watching);
    shut();
  }

  socket.on("message", (datagram) => {
    end.hear(datagram, performance.now());
    if (end.taken > taken) {
      taken = end.taken;
      tellStats();
      tell({ kind: "taken", blocks: taken });
    }
    pump();
  });
  const watching = setInterval(() => {
    tellStats();
    const verdict = end.verdict(performance.now());
    if (!verdict) return;
    tell({ kind: "failed", ...verdict });
    close();
  }, STATS_MS);
  const pumping = setInterval(pump, PUMP_MS);
  parent.on("message", (message: ToSender) => {
    if (message.kind === "block") end.push(message.bytes);
    else if (message.kind === "close") close();
  });
  tell({ kind: "started", blockBytes: end.blockBytes });
}
