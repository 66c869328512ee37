/** A flow over a lossy link: ours (seed-end.ts), or a TCP flow of iperf3 under a given congestion control. */

import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { FAR_HOST, type LossyLink } from "./lossy-link.ts";
import type { FarLine, NearLine } from "./seed-end.ts";

const SEED_END = new URL("./seed-end.ts", import.meta.url).pathname;
const TCP_PORT = 5201;
const IPERF_MS = 500;

/** What had arrived when, in ms since 1970 and bytes. */
export type Progress = readonly { readonly atMs: number; readonly bytes: number }[];
export type SeedDone = Extract<NearLine, { tookMs: number }>;
export type SeedSample = Extract<NearLine, { phase: string }>;
export type SeedRun = {
  readonly done: SeedDone;
  readonly sent: readonly SeedSample[];
  readonly progress: Progress;
};

/** Real-time priority when asked for: then other work on the machine disturbs us no more than it disturbs the kernel. */
export function priority(isRealtime: boolean): readonly string[] {
  return isRealtime ? ["chrt", "-f", "10"] : [];
}

export async function runSeed(
  link: LossyLink,
  { seconds, megabytes, isRealtime }: { seconds: number; megabytes: number; isRealtime: boolean },
): Promise<SeedRun> {
  const node = [...priority(isRealtime), process.execPath, SEED_END];
  const far = link.start("far", [...node, "far", FAR_HOST]);
  const farLines = linesOf<FarLine>(far);
  const progress: { atMs: number; bytes: number }[] = [];
  const first = (await farLines.next()).value;
  if (!first || !("port" in first)) throw new Error("the far end did not open a port");
  const following = (async () => {
    for await (const line of farLines) if ("bytes" in line) progress.push(line);
  })();
  const near = link.start("near", [...node, "near", FAR_HOST, `${first.port}`, `${seconds}`, `${megabytes}`]);
  const sent: SeedSample[] = [];
  let done: SeedDone | undefined;
  for await (const line of linesOf<NearLine>(near)) {
    if ("tookMs" in line) done = line;
    else sent.push(line);
  }
  far.kill("SIGKILL");
  await following;
  if (!done) throw new Error("the seed did not end");
  return { done, sent, progress };
}

export async function runTcp(
  link: LossyLink,
  { seconds, law }: { seconds: number; law: "cubic" | "bbr" },
): Promise<{ mbps: number; progress: Progress }> {
  const far = link.start("far", [
    "iperf3",
    "-s",
    "-1",
    "-p",
    `${TCP_PORT}`,
    "-J",
    "-i",
    `${IPERF_MS / 1000}`,
  ]);
  const report = textOf(far);
  await sleep(IPERF_MS);
  const near = link.start("near", [
    "iperf3",
    "-c",
    FAR_HOST,
    "-p",
    `${TCP_PORT}`,
    "-C",
    law,
    "-t",
    `${seconds}`,
    "-J",
  ]);
  const sending = textOf(near);
  await Promise.all([once(far, "exit"), once(near, "exit")]);
  await sending;
  const { start, intervals, end } = JSON.parse(await report) as IperfReport;
  let bytes = 0;
  const progress = intervals.map(({ sum }) => {
    bytes += sum.bytes;
    return { atMs: start.timestamp.timesecs * 1000 + sum.end * 1000, bytes };
  });
  return { mbps: end.sum_received.bits_per_second / 1e6, progress };
}

type IperfReport = {
  readonly start: { readonly timestamp: { readonly timesecs: number } };
  readonly intervals: readonly { readonly sum: { readonly end: number; readonly bytes: number } }[];
  readonly end: { readonly sum_received: { readonly bits_per_second: number } };
};

/** Bytes that arrived between two moments. */
export function arrivedBetween(progress: Progress, fromMs: number, toMs: number): number {
  const at = (ms: number) => {
    const after = progress.findIndex((each) => each.atMs >= ms);
    if (after === 0) return 0;
    if (after === -1) return progress.at(-1)?.bytes ?? 0;
    const [a, b] = [progress[after - 1]!, progress[after]!];
    return a.bytes + ((b.bytes - a.bytes) * (ms - a.atMs)) / (b.atMs - a.atMs);
  };
  return at(toMs) - at(fromMs);
}

async function* linesOf<T>(child: ChildProcess): AsyncGenerator<T> {
  for await (const line of createInterface({ input: child.stdout! })) yield JSON.parse(line) as T;
}

async function textOf(child: ChildProcess): Promise<string> {
  let text = "";
  for await (const chunk of child.stdout!) text += chunk;
  return text;
}
