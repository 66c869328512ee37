/**
 * A seed as a user gets it, on a clean fast way: one end of a mirror copies a folder to another over loopback, encrypted,
 * checked, journalled and shown, by the transport it chooses itself; the same over TLS when that is forced; and rsync
 * between the same kind of folders. Times are from attaching the shadow to the moment it shows the state.
 */

import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { SeedOver } from "@understudy/mirror/datagram/choice";
import { listenMirror } from "@understudy/mirror/listener";
import { openPrimary } from "@understudy/mirror/primary";
import { POSITION_ZERO } from "@understudy/model/position";
import { systemClock } from "@understudy/service/clock";
import { createAuthority, issueCertificate, readTls, type TlsMaterial } from "@understudy/service/tls";
import { NOISE_SHARE_MAX, startNoise } from "@understudy/testkit/noise";
import type { BenchOptions, BenchResult } from "./bench.ts";
import { median } from "./median.ts";

const FILES = 16;
const DEFAULT_MB = 256;
const DEFAULT_RUNS = 3;
const WAIT_MS_MAX = 120_000;
const TICK_MS = 60_000;
const LOAD_MAX = 2;

type Seeded = { readonly mbPerS: number; readonly transport: "tls" | "udp"; readonly isEqual: boolean };

export async function run(options: BenchOptions): Promise<BenchResult> {
  const megabytes = Number(options.get("mb") ?? DEFAULT_MB);
  const runs = Number(options.get("runs") ?? DEFAULT_RUNS);
  const dir = mkdtempSync(join(tmpdir(), "understudy-bench-seed-"));
  try {
    return await measure({ dir, megabytes, runs });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measure({
  dir,
  megabytes,
  runs,
}: {
  dir: string;
  megabytes: number;
  runs: number;
}): Promise<BenchResult> {
  const from = join(dir, "primary");
  mkdirSync(from);
  const bytes = Math.floor((megabytes * 1e6) / FILES);
  for (let index = 0; index < FILES; index += 1) {
    writeFileSync(join(from, `file-${index}`), randomFillSync(Buffer.allocUnsafe(bytes)));
  }
  await issueCertificate(await createAuthority(join(dir, "ca")), {
    name: "replicator",
    dir: join(dir, "tls"),
  });
  const tls = readTls(join(dir, "tls"));
  const noise = startNoise();
  const auto: Seeded[] = [];
  const overTls: Seeded[] = [];
  const overUdp: Seeded[] = [];
  const rsync: number[] = [];
  // In turns, so that what the machine does meanwhile meets all alike.
  for (let turn = 0; turn < runs; turn += 1) {
    auto.push(await seed(dir, { from, tls, over: "auto", bytes: bytes * FILES }));
    overTls.push(await seed(dir, { from, tls, over: "tls", bytes: bytes * FILES }));
    overUdp.push(await seed(dir, { from, tls, over: "udp", bytes: bytes * FILES }));
    rsync.push(rsyncRate(dir, { from, bytes: bytes * FILES }));
  }
  const { stealShare, load1 } = noise();
  const of = (seeds: readonly Seeded[]) => Math.round(median(seeds.map((each) => each.mbPerS)) * 10) / 10;
  const [mbPerS, tlsMbPerS, rsyncMbPerS] = [of(auto), of(overTls), Math.round(median(rsync) * 10) / 10];
  return {
    mbPerS,
    vsTls: mbPerS / tlsMbPerS,
    vsRsync: mbPerS / rsyncMbPerS,
    tlsMbPerS,
    udpMbPerS: of(overUdp),
    rsyncMbPerS,
    transport: auto[0]!.transport,
    equal: [...auto, ...overTls, ...overUdp].every((each) => each.isEqual),
    megabytes,
    runs,
    valid: stealShare <= NOISE_SHARE_MAX && load1 <= LOAD_MAX,
    ...(load1 > LOAD_MAX && { reason: `load ${load1}: this machine does other work` }),
    noise: { stealShare, load1 },
  };
}

async function seed(
  dir: string,
  { from, tls, over, bytes }: { from: string; tls: TlsMaterial; over: SeedOver; bytes: number },
): Promise<Seeded> {
  const to = join(dir, "shadow");
  mkdirSync(to);
  const common = {
    tls,
    clock: systemClock,
    onError: (error: Error) => console.error(`seed-clean: ${error.message}`),
  };
  const state = { resource: "bench", paths: ["."], consistency: "none" as const };
  const listener = await listenMirror({ host: "127.0.0.1", port: 0, ...common });
  const shadow = await listener.openShadow({
    state: { ...state, dir: to },
    instance: "shadow",
    incarnation: "1",
    workDir: join(dir, "shadow-work"),
  });
  const primary = await openPrimary({
    state: { ...state, dir: from },
    epoch: 1,
    from: POSITION_ZERO,
    tickMs: TICK_MS,
    workDir: join(dir, "primary-work"),
    seedOver: over,
    ...common,
  });
  try {
    const start = performance.now();
    primary.attach({ instance: "shadow", incarnation: "1", address: `127.0.0.1:${listener.port}` });
    while (shadow.visible().root !== primary.position().root) {
      if (performance.now() - start > WAIT_MS_MAX) throw new Error(`no seed within ${WAIT_MS_MAX} ms`);
      await sleep(1);
    }
    const tookMs = performance.now() - start;
    const { transport } = primary.shadows()[0]!;
    return { mbPerS: bytes / 1000 / tookMs, transport, isEqual: isEqual(from, to) };
  } finally {
    await primary.close();
    await listener.close();
    for (const name of ["shadow", "shadow-work", "primary-work"])
      rmSync(join(dir, name), { recursive: true, force: true });
  }
}

function isEqual(from: string, to: string): boolean {
  return Array.from({ length: FILES }, (_, index) => `file-${index}`).every((name) =>
    readFileSync(join(from, name)).equals(readFileSync(join(to, name))),
  );
}

/** rsync between two folders of this machine: its own transport without encryption. */
function rsyncRate(dir: string, { from, bytes }: { from: string; bytes: number }): number {
  const to = join(dir, "rsync");
  const start = performance.now();
  execFileSync("rsync", ["-a", "--fsync", `${from}/`, `${to}/`]);
  const tookMs = performance.now() - start;
  rmSync(to, { recursive: true });
  return bytes / 1000 / tookMs;
}
