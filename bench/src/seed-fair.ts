/**
 * Whether a seed leaves room: beside one TCP flow on a clean link of 100 Mbit/s and 50 ms, CUBIC and BBR, either first;
 * and how fast it follows when the link's rate falls to a tenth in mid-transfer. Shares are of what arrived while both
 * were under way, the newcomer's first seconds left out.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { NOISE_SHARE_MAX, startNoise } from "@understudy/testkit/noise";
import type { BenchOptions, BenchResult } from "./bench.ts";
import { arrivedBetween, type Progress, runSeed, runTcp, type SeedSample } from "./flows.ts";
import { openLossyLink } from "./lossy-link.ts";
import { median } from "./median.ts";

const SHAPE = { mbps: 100, delayMs: 25, lossPct: 0, queueMs: 100 };
const LEAD_SECONDS = 5;
const SETTLE_MS = 2_000;
const DEFAULT_SECONDS = 20;
const LAWS = ["cubic", "bbr"] as const;
/** More than it can carry. */
const MEGABYTES_ENDLESS = 1e6;
const CUT_AFTER_MS = 4_000;
const CUT_MS = 4_000;
const CUT_LOSSES = [0, 1];
/** Sending no more than this times the new rate, over this window, and staying so for this long. */
const FOLLOWS_RATIO = 1.2;
const WINDOW_MS = 100;
const STAYS_MS = 1_000;
const LOAD_MAX = 4;

type Law = (typeof LAWS)[number];
type Share = {
  readonly law: Law;
  readonly first: "seed" | "tcp";
  readonly share: number;
  readonly use: number;
};

export async function run(options: BenchOptions): Promise<BenchResult> {
  const isRealtime = options.has("realtime");
  const seconds = Number(options.get("seconds") ?? DEFAULT_SECONDS);
  const runs = Number(options.get("runs") ?? 1);
  const noise = startNoise();
  const shares: Share[] = [];
  for (const law of LAWS) {
    for (const first of ["seed", "tcp"] as const) {
      const turns: Share[] = [];
      for (let turn = 0; turn < runs; turn += 1)
        turns.push(await beside({ law, first, seconds, isRealtime }));
      const share = {
        law,
        first,
        share: median(turns.map((each) => each.share)),
        use: median(turns.map((each) => each.use)),
      };
      console.error(`seed-fair: ${JSON.stringify(share)}`);
      shares.push(share);
    }
  }
  const cuts: { lossPct: number; adaptMs: number; backMs: number }[] = [];
  for (const lossPct of CUT_LOSSES) {
    cuts.push(await cut({ lossPct, isRealtime }));
    console.error(`seed-fair: ${JSON.stringify(cuts.at(-1))}`);
  }
  const { stealShare, load1 } = noise();
  return {
    shareVsCubic: farthest(shares, "cubic"),
    shareVsBbr: farthest(shares, "bbr"),
    adaptMs: Math.max(...cuts.map((each) => each.adaptMs)),
    backMs: Math.max(...cuts.map((each) => each.backMs)),
    shares,
    cuts,
    realtime: isRealtime,
    runs,
    valid: stealShare <= NOISE_SHARE_MAX && load1 <= LOAD_MAX,
    ...(load1 > LOAD_MAX && { reason: `load ${load1}: this machine does other work` }),
    noise: { stealShare, load1 },
  };
}

/** The share that is farthest from a half. */
function farthest(shares: readonly Share[], law: Law): number {
  const mine = shares.filter((each) => each.law === law).map((each) => each.share);
  return mine.reduce((worst, each) => (Math.abs(each - 0.5) > Math.abs(worst - 0.5) ? each : worst), 0.5);
}

async function beside({
  law,
  first,
  seconds,
  isRealtime,
}: {
  law: Law;
  first: "seed" | "tcp";
  seconds: number;
  isRealtime: boolean;
}): Promise<Share> {
  const link = await openLossyLink(SHAPE);
  const both = LEAD_SECONDS + seconds;
  const seed = () =>
    runSeed(link, { seconds: first === "seed" ? both : seconds, megabytes: MEGABYTES_ENDLESS, isRealtime });
  const tcp = () => runTcp(link, { seconds: first === "tcp" ? both : seconds, law });
  try {
    const [ours, theirs] = await Promise.all([
      first === "seed" ? seed() : after(LEAD_SECONDS, seed),
      first === "tcp" ? tcp() : after(LEAD_SECONDS, tcp),
    ]);
    const fromMs = Math.max(startOf(ours.progress), startOf(theirs.progress)) + SETTLE_MS;
    const toMs = Math.min(endOf(ours.progress), endOf(theirs.progress));
    const [us, them] = [
      arrivedBetween(ours.progress, fromMs, toMs),
      arrivedBetween(theirs.progress, fromMs, toMs),
    ];
    const use = ((us + them) * 8) / (toMs - fromMs) / 1000 / SHAPE.mbps;
    return { law, first, share: round(us / (us + them)), use: round(use) };
  } finally {
    await link.close();
  }
}

async function after<R>(seconds: number, work: () => Promise<R>): Promise<R> {
  await sleep(seconds * 1000);
  return work();
}

/** When the first and the last byte came, as far as the samples tell. */
function startOf(progress: Progress): number {
  return progress.find((each) => each.bytes > 0)!.atMs;
}

function endOf(progress: Progress): number {
  const total = progress.at(-1)!.bytes;
  return progress.find((each) => each.bytes === total)!.atMs;
}

async function cut({
  lossPct,
  isRealtime,
}: {
  lossPct: number;
  isRealtime: boolean;
}): Promise<{ lossPct: number; adaptMs: number; backMs: number }> {
  const link = await openLossyLink({ ...SHAPE, lossPct });
  try {
    const seconds = (2 * CUT_AFTER_MS + CUT_MS) / 1000 + 1;
    const [run, [cutMs, backMs]] = await Promise.all([
      runSeed(link, { seconds, megabytes: MEGABYTES_ENDLESS, isRealtime }),
      (async () => {
        await sleep(CUT_AFTER_MS);
        link.toggleRate();
        const at = performance.timeOrigin + performance.now();
        await sleep(CUT_MS);
        link.toggleRate();
        return [at, performance.timeOrigin + performance.now()] as const;
      })(),
    ]);
    const rates = ratesOf(run.sent);
    const limit = (FOLLOWS_RATIO * SHAPE.mbps) / 10 / (1 - lossPct / 100);
    const during = rates.filter(({ atMs }) => atMs >= cutMs && atMs < backMs);
    const adaptedMs = (lastOver(during, limit) ?? cutMs) - cutMs;
    const fast = rates.find(({ atMs, mbps }) => atMs >= backMs && mbps >= 0.8 * SHAPE.mbps);
    return {
      lossPct,
      adaptMs: Math.round(adaptedMs),
      backMs: fast ? Math.round(fast.atMs - backMs) : CUT_AFTER_MS,
    };
  } finally {
    await link.close();
  }
}

/** The last moment above the limit before it stays below for long enough: a probe long after is no failure to adapt. */
function lastOver(rates: readonly { atMs: number; mbps: number }[], limit: number): number | undefined {
  let last: number | undefined;
  for (const { atMs, mbps } of rates) {
    if (last !== undefined && atMs - last > STAYS_MS) break;
    if (mbps > limit) last = atMs;
  }
  return last;
}

/** What left in each window, in Mbit/s of datagrams. */
function ratesOf(sent: readonly SeedSample[]): { atMs: number; mbps: number }[] {
  const rates: { atMs: number; mbps: number }[] = [];
  let first = 0;
  for (const sample of sent) {
    while (sample.atMs - sent[first]!.atMs > WINDOW_MS + WINDOW_MS / 2) first += 1;
    const since = sent[first]!;
    if (sample.atMs - since.atMs < WINDOW_MS / 2) continue;
    rates.push({
      atMs: sample.atMs,
      mbps: ((sample.sentBytes - since.sentBytes) * 8) / (sample.atMs - since.atMs) / 1000,
    });
  }
  return rates;
}

function round(value: number): number {
  return Math.round(value * 1e3) / 1e3;
}
