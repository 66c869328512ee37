/** The sending end's thread: owns the socket and the timers around dispatch.ts and outbox.ts, and decides nothing. */

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type Dispatch, dispatch } from "./dispatch.ts";
import { openSmall, sealSmall } from "./keys.ts";
import { outbox } from "./outbox.ts";
import {
  decodeReport,
  encodeStatus,
  fragmentBytes,
  IPV4_OVERHEAD,
  IPV6_OVERHEAD,
  MTU_MAX,
  type Report,
  readSealed,
  SEALED_OVERHEAD,
} from "./packets.ts";
import { prober } from "./probe.ts";
import { PING } from "./scoreboard.ts";
import type { FromSender, SenderSetup, ToSender } from "./sender.ts";

/** The path is given up after so long without a report. */
const SILENCE_MS_MAX = 5_000;
const PUMP_MS = 1;
/** One turn sends no more than this time's worth, so that reports are read in between. */
const TURN_MS = 3;
const TURN_PACKETS_MIN = 8;
const SOCKET_BYTES = 4 * 1024 * 1024;
/** Unsent in the socket: the machine is slower than the path. */
const QUEUE_BYTES_MAX = 1024 * 1024;
const REPORT_MS_MIN = 10;
const REPORT_MS_MAX = 50;
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
  const box = outbox(keys, { fragmentBytes: fragmentBytes(mtu, family) });
  const reportMs = (): number =>
    Math.round(Math.max(REPORT_MS_MIN, Math.min(REPORT_MS_MAX, core.congestion.rttMs / 4)));
  const rateMax = limitMbps ? (limitMbps * 1000) / 8 / (mtu + FRAME_OVERHEAD) : Number.POSITIVE_INFINITY;
  let core: Dispatch;
  core = dispatch(
    {
      fresh: box.fresh,
      isWanted: box.has,
      reportMs: () => (core ? reportMs() : REPORT_MS_MIN),
      rttMs,
      rateMax,
    },
    performance.now(),
  );
  let [heardAtMs, reportsHeard, sentBytes, duplicates] = [performance.now(), -1, 0, 0];
  let timer: NodeJS.Timeout | undefined;

  function pump(): void {
    const nowMs = performance.now();
    const most = Math.max(TURN_PACKETS_MIN, TURN_MS * core.congestion.rate);
    for (let turn = 0; turn < most && socket.getSendQueueSize() < QUEUE_BYTES_MAX; turn += 1) {
      const out = core.next(nowMs);
      if (!out) break;
      const bytes =
        out.piece === PING
          ? sealSmall(keys.fromSender, "status", {
              number: out.packet,
              body: encodeStatus({ floor: core.floor, reportMs: reportMs() }),
            })
          : box.packet(out.piece, out.packet);
      socket.send(bytes, 0, bytes.length);
      sentBytes += bytes.length;
    }
  }

  function hear(report: Report): void {
    const nowMs = performance.now();
    [heardAtMs, duplicates] = [nowMs, report.duplicates];
    const before = box.taken;
    box.acknowledge(report);
    core.hear(report, nowMs);
    for (const { block, times } of report.redo) core.again(box.redo(block, times));
    if (box.taken > before) {
      tellStats();
      tell({ kind: "taken", blocks: box.taken });
    }
    pump();
  }

  function tellStats(): void {
    const { rttMs: nowRttMs, lossShare, phase } = core.congestion;
    tell({
      kind: "stats",
      stats: { ...core.sent, sentBytes, duplicates, rttMs: nowRttMs, lossShare, phase, mtu },
    });
  }

  function end(): void {
    clearInterval(timer);
    clearInterval(stats);
    shut();
  }

  socket.on("message", (datagram) => {
    const sealed = readSealed(datagram);
    if (sealed?.kind !== "report" || sealed.number <= reportsHeard) return;
    const body = openSmall(keys.fromReceiver, sealed);
    const report = body && decodeReport(body);
    if (!report) return;
    reportsHeard = sealed.number;
    hear(report);
  });
  const stats = setInterval(() => {
    tellStats();
    if (performance.now() - heardAtMs <= SILENCE_MS_MAX) return;
    tell({
      kind: "failed",
      code: "unreachable",
      reason: `no answer over UDP for ${SILENCE_MS_MAX / 1000} s`,
    });
    end();
  }, STATS_MS);
  timer = setInterval(pump, PUMP_MS);
  parent.on("message", (message: ToSender) => {
    if (message.kind === "block") box.push(message.bytes);
    else if (message.kind === "close") end();
  });
  tell({ kind: "started", blockBytes: box.blockBytes });
}
