/**
 * A seed as a user gets it, on a clean fast way: one end of a mirror copies a folder to another over loopback, encrypted,
 * checked and shown, each end a process of its own, by the transport it chooses itself; beside it the same files over plain
 * TLS between two processes (tls-copy.ts) and rsync between the same kind of folders. Times are from attaching the shadow to
 * the moment it shows the state; what is beside it has synced its files then.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { SeedOver } from "@understudy/mirror/datagram/choice";
import { createAuthority, issueCertificate } from "@understudy/service/tls";
import { NOISE_SHARE_MAX, startNoise } from "@understudy/testkit/noise";
import type { BenchOptions, BenchResult } from "./bench.ts";
import { median } from "./median.ts";
import type { EndOptions } from "./mirror-end.ts";
import { cpuSecondsOf } from "./processes.ts";
import type { CopyOptions } from "./tls-copy.ts";

const FILES = 16;
const DEFAULT_MB = 256;
const DEFAULT_RUNS = 3;
const WAIT_MS_MAX = 60_000;
const TICK_MS = 60_000;
const LOAD_MAX = 2;

type Seeded = {
  readonly mbPerS: number;
  /** Processor time of both ends for a megabyte. */
  readonly cpuMsPerMb: { readonly primary: number; readonly shadow: number };
  readonly transport: string;
  readonly isEqual: boolean;
};
type World = {
  readonly dir: string;
  readonly from: string;
  readonly tlsDir: string;
  readonly names: readonly string[];
  readonly bytes: number;
  readonly total: number;
};
/** What a process has said so far; later lines replace earlier ones. */
type Said = {
  port?: number;
  open?: boolean;
  done?: boolean;
  transport?: string;
  error?: string;
  position?: { root: string };
  visible?: { root: string };
};

export async function run(options: BenchOptions): Promise<BenchResult> {
  const megabytes = Number(options.get("mb") ?? DEFAULT_MB);
  const runs = Number(options.get("runs") ?? DEFAULT_RUNS);
  const dir = mkdtempSync(join(tmpdir(), "understudy-bench-seed-"));
  try {
    return await measure(await openWorld(dir, megabytes), { megabytes, runs });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function openWorld(dir: string, megabytes: number): Promise<World> {
  const from = join(dir, "primary");
  mkdirSync(from);
  const bytes = Math.floor((megabytes * 1e6) / FILES);
  const names = Array.from({ length: FILES }, (_, index) => `file-${index}`);
  for (const name of names) writeFileSync(join(from, name), randomFillSync(Buffer.allocUnsafe(bytes)));
  const tlsDir = join(dir, "tls");
  await issueCertificate(await createAuthority(join(dir, "ca")), { name: "replicator", dir: tlsDir });
  return { dir, from, tlsDir, names, bytes, total: bytes * FILES };
}

async function measure(
  world: World,
  { megabytes, runs }: { megabytes: number; runs: number },
): Promise<BenchResult> {
  const noise = startNoise();
  const ours: Seeded[] = [];
  const plainTls: number[] = [];
  const rsync: number[] = [];
  // In turns, so that what the machine does meanwhile meets all alike.
  for (let turn = 0; turn < runs; turn += 1) {
    ours.push(await seed(world, "auto"));
    plainTls.push(await plainRate(world));
    rsync.push(rsyncRate(world));
  }
  const { stealShare, load1 } = noise();
  const rounded = (value: number) => Math.round(value * 10) / 10;
  const mbPerS = median(ours.map((each) => each.mbPerS));
  const [plainTlsMbPerS, rsyncMbPerS] = [median(plainTls), median(rsync)];
  const cpu = (end: "primary" | "shadow") => median(ours.map((each) => each.cpuMsPerMb[end]));
  return {
    mbPerS: rounded(mbPerS),
    vsTls: mbPerS / plainTlsMbPerS,
    vsRsync: mbPerS / rsyncMbPerS,
    plainTlsMbPerS: rounded(plainTlsMbPerS),
    rsyncMbPerS: rounded(rsyncMbPerS),
    all: {
      ours: ours.map((each) => rounded(each.mbPerS)),
      plainTls: plainTls.map(rounded),
      rsync: rsync.map(rounded),
    },
    cpuMsPerMb: { primary: rounded(cpu("primary")), shadow: rounded(cpu("shadow")) },
    transport: ours[0]!.transport,
    equal: ours.every((each) => each.isEqual),
    megabytes,
    runs,
    valid: stealShare <= NOISE_SHARE_MAX && load1 <= LOAD_MAX,
    ...(load1 > LOAD_MAX && { reason: `load ${load1}: this machine does other work` }),
    noise: { stealShare, load1 },
  };
}

async function seed({ dir, from, tlsDir, names, total }: World, seedOver: SeedOver): Promise<Seeded> {
  const to = join(dir, "shadow");
  mkdirSync(to);
  const state = { resource: "bench", paths: ["."], consistency: "none" as const };
  const common = { tlsDir, tickMs: TICK_MS, pauseMs: 0 };
  const end = (options: EndOptions) => startProcess("mirror-end.ts", options);
  const shadow = end({
    ...common,
    role: "shadow",
    state: { ...state, dir: to },
    workDir: join(dir, "shadow-work"),
    port: 0,
  });
  const ends = [shadow];
  try {
    await until(shadow, ({ port }) => port !== undefined);
    const primary = end({
      ...common,
      role: "primary",
      state: { ...state, dir: from },
      workDir: join(dir, "primary-work"),
      port: shadow.said.port!,
      seedOver,
    });
    ends.push(primary);
    await until(primary, ({ open }) => open === true);
    const start = performance.now();
    const cpu = () => ends.map(({ child }) => cpuSecondsOf(child.pid!));
    const before = cpu();
    await until(shadow, ({ visible }) => visible?.root === primary.said.position!.root);
    const tookMs = performance.now() - start;
    const [shadowMs, primaryMs] = cpu().map((after, at) => ((after - before[at]!) * 1e9) / total);
    return {
      mbPerS: total / 1000 / tookMs,
      cpuMsPerMb: { primary: primaryMs!, shadow: shadowMs! },
      transport: primary.said.transport ?? "",
      isEqual: names.every((name) => readFileSync(join(from, name)).equals(readFileSync(join(to, name)))),
    };
  } finally {
    for (const { child } of ends) child.kill("SIGKILL");
    for (const { gone } of ends) await gone;
    for (const name of ["shadow", "shadow-work", "primary-work"])
      rmSync(join(dir, name), { recursive: true, force: true });
  }
}

async function plainRate({ dir, from, tlsDir, names, bytes, total }: World): Promise<number> {
  const to = join(dir, "plain");
  mkdirSync(to);
  const copy = (options: Pick<CopyOptions, "role" | "dir" | "port">) =>
    startProcess("tls-copy.ts", { ...options, tlsDir, names, bytes });
  const receiver = copy({ role: "receive", dir: to, port: 0 });
  const ends = [receiver];
  try {
    await until(receiver, ({ port }) => port !== undefined);
    const sender = copy({ role: "send", dir: from, port: receiver.said.port! });
    ends.push(sender);
    await until(sender, ({ open }) => open === true);
    const start = performance.now();
    await until(receiver, ({ done }) => done === true);
    return total / 1000 / (performance.now() - start);
  } finally {
    for (const { child } of ends) child.kill("SIGKILL");
    for (const { gone } of ends) await gone;
    rmSync(to, { recursive: true });
  }
}

type Running = {
  readonly child: ChildProcess;
  readonly said: Said;
  readonly gone: Promise<void>;
  next(): Promise<void>;
};

function startProcess(script: string, options: EndOptions | CopyOptions): Running {
  const child = spawn(process.execPath, [join(import.meta.dirname, script), JSON.stringify(options)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const said: Said = {};
  let news = Promise.withResolvers<void>();
  const tell = () => {
    news.resolve();
    news = Promise.withResolvers();
  };
  createInterface({ input: child.stdout! }).on("line", (line) => {
    Object.assign(said, JSON.parse(line));
    tell();
  });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  void gone.then(tell);
  return { child, said, gone, next: () => news.promise };
}

async function until(end: Running, holds: (said: Said) => boolean): Promise<void> {
  const late = sleep(WAIT_MS_MAX, "late" as const, { ref: false });
  while (!holds(end.said)) {
    if (end.said.error) throw new Error(end.said.error);
    if (end.child.exitCode !== null) throw new Error("an end of the benchmark has ended by itself");
    if ((await Promise.race([end.next(), late])) === "late")
      throw new Error(`an end of the benchmark is not ready within ${WAIT_MS_MAX} ms`);
  }
}

/** rsync between two folders of this machine: its own transport without encryption. */
function rsyncRate({ dir, from, total }: World): number {
  const to = join(dir, "rsync");
  const start = performance.now();
  execFileSync("rsync", ["-a", "--fsync", `${from}/`, `${to}/`]);
  const tookMs = performance.now() - start;
  rmSync(to, { recursive: true });
  return total / 1000 / tookMs;
}
