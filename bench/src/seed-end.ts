/**
 * One end of a seed over UDP as a process of its own, for a network namespace of its own:
 * `seed-end.ts far HOST` or `seed-end.ts near HOST PORT SECONDS MEGABYTES`. Says how far it is, one JSON object a line.
 */

import { datagramKeys, EXPORTED_BYTES } from "@understudy/mirror/datagram/keys";
import { openDatagramReceiver } from "@understudy/mirror/datagram/receiver";
import { openDatagramSender } from "@understudy/mirror/datagram/sender";

const SAMPLE_MS = 50;
const CHUNK_BYTES = 1_000_000;
/** In the mirror they come from the TLS session. */
const keys = datagramKeys(new Uint8Array(EXPORTED_BYTES).fill(7));

export type FarLine = { readonly port: number } | { readonly atMs: number; readonly bytes: number };
export type NearLine =
  | { readonly atMs: number; readonly sentBytes: number; readonly rttMs: number; readonly phase: string }
  | {
      readonly bytes: number;
      readonly tookMs: number;
      readonly probeMs: number;
      readonly sentBytes: number;
      readonly repairs: number;
      readonly duplicates: number;
      readonly packets: number;
      readonly cpuSeconds: number;
      readonly rssMb: number;
    };

const say = (line: FarLine | NearLine) => process.stdout.write(`${JSON.stringify(line)}\n`);
const nowMs = () => performance.timeOrigin + performance.now();
const [role, host = "", port, seconds, megabytes] = process.argv.slice(2);

async function far(): Promise<void> {
  const receiver = await openDatagramReceiver({ keys, host });
  say({ port: receiver.port });
  let bytes = 0;
  setInterval(() => say({ atMs: nowMs(), bytes }), SAMPLE_MS);
  for await (const block of receiver.blocks()) bytes += block.length;
}

async function near(): Promise<void> {
  const started = performance.now();
  const sender = openDatagramSender({ keys, host, port: Number(port), limitMbps: undefined });
  const path = await sender.probe();
  if (!path.answered) throw new Error("no answer over UDP");
  await sender.start(path);
  const begun = performance.now();
  const sampling = setInterval(() => {
    const stats = sender.stats();
    if (stats) say({ atMs: nowMs(), sentBytes: stats.sentBytes, rttMs: stats.rttMs, phase: stats.phase });
  }, SAMPLE_MS);
  const chunk = new Uint8Array(CHUNK_BYTES);
  const [bytesMax, msMax] = [Number(megabytes) * 1e6, Number(seconds) * 1000];
  for (let bytes = 0; bytes < bytesMax && performance.now() - begun < msMax; bytes += CHUNK_BYTES) {
    await sender.write(chunk);
  }
  const bytes = await sender.finish();
  const tookMs = performance.now() - begun;
  clearInterval(sampling);
  const { packets, repairs, duplicates, sentBytes } = sender.stats()!;
  const { user, system } = process.cpuUsage();
  say({
    bytes,
    tookMs,
    probeMs: begun - started,
    sentBytes,
    packets,
    repairs,
    duplicates,
    cpuSeconds: (user + system) / 1e6,
    rssMb: process.memoryUsage.rss() / 1e6,
  });
  sender.close();
}

await (role === "far" ? far() : near());
