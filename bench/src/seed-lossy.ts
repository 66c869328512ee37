/**
 * Seeding over long, lossy links: 100 and 200 Mbit/s, 50 ms round trip, a queue of 100 ms, loss of 0 to 5 % each way.
 * Whole transfers, start-up and tail included, beside one TCP flow with BBR and one with CUBIC on the same link, one
 * after the other. wireRatio and duplicates are the link's and the receiver's counts.
 */

import { NOISE_SHARE_MAX, startNoise } from "@understudy/testkit/noise";
import type { BenchOptions, BenchResult } from "./bench.ts";
import { runSeed, runTcp, type SeedDone } from "./flows.ts";
import { type LinkCounters, openLossyLink } from "./lossy-link.ts";
import { median } from "./median.ts";

const RATES = [100, 200];
const LOSSES = [0, 1, 3, 5];
const DELAY_MS = 25;
const QUEUE_MS = 100;
const DEFAULT_SECONDS = 15;
const TCP_SECONDS = 10;

type Cell = {
  readonly mbps: number;
  readonly lossPct: number;
  readonly goodputMbps: number;
  /** Of link x (1 - loss). */
  readonly linkShare: number;
  readonly cubicMbps: number;
  readonly bbrMbps: number;
  readonly wireRatio: number;
  readonly duplicatePct: number;
  readonly queueMeanMs: number;
  readonly senderCpuPct: number;
  readonly senderRssMb: number;
};

export async function run(options: BenchOptions): Promise<BenchResult> {
  const settings = {
    seconds: Number(options.get("seconds") ?? DEFAULT_SECONDS),
    runs: Number(options.get("runs") ?? 1),
    isRealtime: options.has("realtime"),
    hasRivals: !options.has("alone"),
  };
  const rates = listOf(options, "rates") ?? RATES;
  const losses = listOf(options, "losses") ?? LOSSES;
  const noise = startNoise();
  const cells: Cell[] = [];
  for (const mbps of rates) {
    for (const lossPct of losses) {
      const cell = await measure({ mbps, lossPct, ...settings });
      console.error(`seed-lossy: ${JSON.stringify(cell)}`);
      cells.push(cell);
    }
  }
  const { stealShare, load1 } = noise();
  const vsCubic = (mbps: number) => {
    const cell = cells.find((each) => each.mbps === mbps && each.lossPct === 1);
    return cell ? round(cell.goodputMbps / cell.cubicMbps) : null;
  };
  return {
    minLinkShare: Math.min(...cells.map((each) => each.linkShare)),
    vsCubicAt1pct: vsCubic(200),
    vsCubicAt1pct100: vsCubic(100),
    vsBbr: Math.min(...cells.map((each) => round(each.goodputMbps / each.bbrMbps))),
    wireRatio: Math.max(...cells.map((each) => each.wireRatio)),
    duplicatePct: Math.max(...cells.map((each) => each.duplicatePct)),
    cells,
    realtime: settings.isRealtime,
    runs: settings.runs,
    valid: stealShare <= NOISE_SHARE_MAX && load1 <= LOAD_MAX,
    ...(load1 > LOAD_MAX && { reason: `load ${load1}: this machine does other work` }),
    noise: { stealShare, load1 },
  };
}

/** Emulator, two ends and their threads keep about two processors busy; more than that is somebody else. */
const LOAD_MAX = 4;

async function measure(options: {
  mbps: number;
  lossPct: number;
  seconds: number;
  runs: number;
  isRealtime: boolean;
  hasRivals: boolean;
}): Promise<Cell> {
  const { mbps, lossPct, seconds, runs, isRealtime, hasRivals } = options;
  const link = await openLossyLink({ mbps, lossPct, delayMs: DELAY_MS, queueMs: QUEUE_MS });
  try {
    const seeds: (SeedDone & { link: LinkCounters; goodputMbps: number })[] = [];
    for (let turn = 0; turn < runs; turn += 1) {
      await link.counters();
      const { done } = await runSeed(link, { seconds, megabytes: (mbps / 8) * seconds, isRealtime });
      seeds.push({
        ...done,
        link: await link.counters(),
        goodputMbps: (done.bytes * 8) / done.tookMs / 1000,
      });
    }
    const of = (value: (seed: (typeof seeds)[number]) => number) => round(median(seeds.map(value)));
    const rivals = { cubic: Number.NaN, bbr: Number.NaN };
    for (const law of ["cubic", "bbr"] as const) {
      if (hasRivals) rivals[law] = (await runTcp(link, { seconds: TCP_SECONDS, law })).mbps;
    }
    return {
      mbps,
      lossPct,
      goodputMbps: of((seed) => seed.goodputMbps),
      linkShare: of((seed) => seed.goodputMbps / mbps / (1 - lossPct / 100)),
      cubicMbps: round(rivals.cubic),
      bbrMbps: round(rivals.bbr),
      wireRatio: of((seed) => (seed.link.megabytes * 1e6) / seed.bytes),
      duplicatePct: of((seed) => (100 * seed.duplicates) / seed.packets),
      queueMeanMs: of((seed) => seed.link.queueMeanMs),
      senderCpuPct: of((seed) => (100_000 * seed.cpuSeconds) / seed.tookMs),
      senderRssMb: of((seed) => seed.rssMb),
    };
  } finally {
    await link.close();
  }
}

function listOf(options: BenchOptions, name: string): number[] | undefined {
  return options.get(name)?.split(",").map(Number);
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
