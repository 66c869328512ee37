/**
 * How long a live writer stands still for a look at 256 MB of files that are rewritten all the time. On a file system with
 * reflinks (a loop mount of btrfs, made here when it can be) and on one without. The length is measured with a budget of
 * 10 %, for many pauses in little time (a budget sets their interval, not their length), the share with the default of 1 %.
 * Measured by the guardian that holds the writer, and by the writer itself as the longest gap between rounds.
 */

import { execFileSync, spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { openPrimary } from "@understudy/mirror/primary";
import type { Pauses } from "@understudy/mirror/still";
import { POSITION_ZERO } from "@understudy/model/position";
import { systemClock } from "@understudy/service/clock";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";
import { FILE_WRITER } from "@understudy/testkit/file-rounds";
import { NOISE_SHARE_MAX, startNoise } from "@understudy/testkit/noise";
import type { BenchOptions, BenchResult } from "./bench.ts";

const MEGABYTES = 256;
const FILES = 64;
const SECONDS = 30;
const TICK_MS = 50;
/** The default of a resource. */
const BUDGET = 0.01;
const OFTEN = 0.1;
const WRITER_PAUSE_MS = "2";

export async function run(options: BenchOptions): Promise<BenchResult> {
  const seconds = Number(options.get("seconds") ?? SECONDS);
  const megabytes = Number(options.get("mb") ?? MEGABYTES);
  const noise = startNoise();
  const often = { seconds, megabytes, budget: OFTEN };
  const mount = mountBtrfs();
  const onReflinks = async (options: MeasureOptions) => ("dir" in mount ? measure(mount.dir, options) : null);
  try {
    const lengths = await onReflinks(often);
    const shares = await onReflinks({ ...often, budget: BUDGET });
    const plain = mkdtempSync(join(tmpdir(), "understudy-bench-pause-"));
    const without = await measure(plain, often).finally(() =>
      rmSync(plain, { recursive: true, force: true }),
    );
    const { stealShare, load1 } = noise();
    const seen = Math.min(lengths?.pauses ?? 0, shares?.pauses ?? 0);
    return {
      valid: seen > 0 && stealShare <= NOISE_SHARE_MAX && load1 <= 4,
      ...("why" in mount && { why: mount.why }),
      p99Ms: lengths?.p99Ms ?? null,
      p50Ms: lengths?.p50Ms ?? null,
      longestGapMs: lengths?.longestGapMs ?? null,
      pauses: lengths?.pauses ?? 0,
      pausedShare: seen > 0 ? shares!.pausedShare : null,
      pausesOfShare: shares?.pauses ?? 0,
      dirtyMb: megabytes,
      withoutReflink: without,
      noise: { stealShare, load1 },
    };
  } finally {
    if ("dir" in mount) mount.unmount();
  }
}

type Mount = { readonly dir: string; readonly unmount: () => void } | { readonly why: string };

function mountBtrfs(): Mount {
  const home = mkdtempSync(join(tmpdir(), "understudy-bench-btrfs-"));
  const [image, dir] = [join(home, "image"), join(home, "mount")];
  mkdirSync(dir);
  try {
    execFileSync("truncate", ["-s", "4G", image]);
    execFileSync("mkfs.btrfs", ["-q", image], { stdio: ["ignore", "ignore", "pipe"] });
    execFileSync("mount", ["-o", "loop", image, dir], { stdio: ["ignore", "ignore", "pipe"] });
  } catch (error) {
    rmSync(home, { recursive: true, force: true });
    const why = `no btrfs by a loop device here (btrfs-progs and root are needed): ${(error as Error).message}`;
    console.error(`pause bench: ${why}`);
    return { why };
  }
  return {
    dir,
    unmount() {
      execFileSync("umount", ["-l", dir]);
      rmSync(home, { recursive: true, force: true });
    },
  };
}

type MeasureOptions = { readonly seconds: number; readonly megabytes: number; readonly budget: number };

async function measure(top: string, { seconds, megabytes, budget }: MeasureOptions) {
  const dir = mkdtempSync(join(top, "run-"));
  const state = join(dir, "state");
  mkdirSync(state);
  const fileBytes = Math.floor((megabytes * 1024 * 1024) / FILES);
  const files = Array.from({ length: FILES }, (_, index) => join(state, `large-${index}`));
  for (const file of files) writeFileSync(file, randomFillSync(Buffer.allocUnsafe(fileBytes)));
  await issueCertificate(await createAuthority(join(dir, "ca")), {
    name: "replicator",
    dir: join(dir, "tls"),
  });
  const child = spawn(process.execPath, [FILE_WRITER, state, "8192", WRITER_PAUSE_MS], {
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
  });
  let [rounds, last, longestGapMs] = [0, performance.now(), 0];
  createInterface({ input: child.stdout! }).on("line", () => {
    const now = performance.now();
    if (rounds > 100) longestGapMs = Math.max(longestGapMs, now - last);
    [rounds, last] = [rounds + 1, now];
  });
  while (rounds < 10) await sleep(5);
  const text = readFileSync(`/proc/${child.pid}/stat`, "latin1");
  const leader = {
    pid: child.pid!,
    startTicks: Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]),
  };
  const primary = await openPrimary({
    state: {
      resource: "bench",
      dir: state,
      paths: ["."],
      consistency: "freeze",
      hold: { kind: "freeze", budget, timeoutMs: 5_000 },
    },
    epoch: 1,
    from: POSITION_ZERO,
    tickMs: TICK_MS,
    workDir: join(dir, "work"),
    tls: readTls(join(dir, "tls")),
    clock: systemClock,
    writer: { process: () => leader, target: () => ({ address: "", env: {} }) },
    onError: (error) => console.error(`pause bench: ${error.message}`),
  });
  try {
    return await watch(primary.pauses, {
      seconds,
      touch: () => touchAll(files),
      longestGapMs: () => longestGapMs,
    });
  } finally {
    process.kill(child.pid!, "SIGKILL");
    await primary.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Every file of the state is dirty at each look: the most there is to copy. */
function touchAll(files: readonly string[]): void {
  for (const file of files) writeFileSync(file, "x", { flag: "r+" });
}

async function watch(
  pauses: () => Pauses | undefined,
  { seconds, touch, longestGapMs }: { seconds: number; touch: () => void; longestGapMs: () => number },
) {
  const each: number[] = [];
  const before = pauses()!;
  const beganMs = performance.now();
  let seen = before.count;
  touch();
  while (performance.now() - beganMs < seconds * 1000) {
    await sleep(2);
    const now = pauses()!;
    if (now.count === seen) continue;
    seen = now.count;
    each.push(now.lastMs);
    touch();
  }
  const after = pauses()!;
  // The last pause pays for an interval that lies beyond the end.
  const pausedMs = Math.max(0, after.totalMs - before.totalMs - after.lastMs);
  const sorted = each.sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
  return {
    pauses: sorted.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    pausedShare: pausedMs / (performance.now() - beganMs),
    longestGapMs: longestGapMs(),
  };
}
