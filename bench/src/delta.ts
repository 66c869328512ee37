/**
 * What a small change costs on the wire: 1 % of the 4 KiB blocks of 256 MB, scattered, between two ends of a mirror over
 * TLS. A proxy between them counts every byte both ways, handshakes excluded, so wireRatio is exact on any machine; the
 * times are not. Where rsync is installed it moves the same change between the same folders.
 */

import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MirroredState, MirrorPrimary, MirrorShadow } from "@understudy/mirror/engine";
import { listenMirror } from "@understudy/mirror/listener";
import { openPrimary } from "@understudy/mirror/primary";
import { POSITION_ZERO } from "@understudy/model/position";
import { systemClock } from "@understudy/service/clock";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";
import { NOISE_SHARE_MAX, startNoise } from "@understudy/testkit/noise";
import type { BenchOptions, BenchResult } from "./main.ts";

const BLOCK_BYTES = 4096;
const FILES = 64;
const DEFAULT_MB = 256;
const CHANGED_SHARE = 0.01;
const WAIT_MS_MAX = 120_000;
const TICK_MS = 60_000;

export async function run(options: BenchOptions): Promise<BenchResult> {
  const megabytes = Number(options.get("mb") ?? DEFAULT_MB);
  const seed = Number(options.get("seed") ?? 1);
  const dir = mkdtempSync(join(tmpdir(), "understudy-bench-delta-"));
  const close: (() => Promise<void> | void)[] = [() => rmSync(dir, { recursive: true, force: true })];
  try {
    return await measure({ dir, megabytes, seed, own: (end) => void close.push(end) });
  } finally {
    for (const end of close.reverse()) await end();
  }
}

async function measure({
  dir,
  megabytes,
  seed,
  own,
}: {
  dir: string;
  megabytes: number;
  seed: number;
  own: (close: () => Promise<void> | void) => void;
}): Promise<BenchResult> {
  const state = (name: string): MirroredState => {
    const folder = join(dir, name);
    mkdirSync(folder, { recursive: true });
    return { resource: "bench", dir: folder, paths: ["."], consistency: "none" };
  };
  const fileBytes = Math.floor((megabytes * 1024 * 1024) / FILES / BLOCK_BYTES) * BLOCK_BYTES;
  const files = Array.from({ length: FILES }, (_, index) => join(state("primary").dir, `file-${index}`));
  for (const file of files) writeFileSync(file, randomFillSync(Buffer.allocUnsafe(fileBytes)));

  const { primary, shadow, wire } = await openEnds(dir, { state, own });
  const seeded = await timed(() => visible(primary, shadow));
  const rsyncFrom = join(dir, "rsync");
  const hasRsync = installed("rsync");
  if (hasRsync) execFileSync("cp", ["-a", state("primary").dir, rsyncFrom]);

  const noise = startNoise();
  const changed = changeBlocks(files, { blocksPerFile: fileBytes / BLOCK_BYTES, seed });
  const before = wire();
  const delta = await timed(() => visible(primary, shadow));
  const wireBytes = wire() - before;
  const { stealShare, otherShare, load1 } = noise();

  const payloadBytes = changed * BLOCK_BYTES;
  const equal = files.every((file, index) =>
    readFileSync(file).equals(readFileSync(join(state("shadow").dir, `file-${index}`))),
  );
  const rsyncBytes = hasRsync ? rsync(state("primary").dir, rsyncFrom) : null;
  return {
    valid: equal,
    stateBytes: primary.stateBytes(),
    changedBlocks: changed,
    payloadBytes,
    wireBytes,
    wireRatio: wireBytes / payloadBytes,
    deltaMs: Math.round(delta),
    seedMs: Math.round(seeded),
    seedBytes: primary.shadows()[0]!.seedBytes,
    rsyncBytes,
    rsyncRatio: rsyncBytes === null ? null : rsyncBytes / payloadBytes,
    equal,
    timesValid: stealShare <= NOISE_SHARE_MAX && load1 <= 2,
    noise: { stealShare, busyShare: otherShare, load1 },
  };
}

async function openEnds(
  dir: string,
  {
    state,
    own,
  }: { state: (name: string) => MirroredState; own: (close: () => Promise<void> | void) => void },
): Promise<{ primary: MirrorPrimary; shadow: MirrorShadow; wire: () => number }> {
  await issueCertificate(await createAuthority(join(dir, "ca")), {
    name: "replicator",
    dir: join(dir, "tls"),
  });
  const common = {
    tls: readTls(join(dir, "tls")),
    clock: systemClock,
    onError: (error: Error) => console.error(`delta bench: ${error.message}`),
  };
  const listener = await listenMirror({ host: "127.0.0.1", port: 0, ...common });
  own(() => listener.close());
  const shadow = await listener.openShadow({
    state: state("shadow"),
    instance: "shadow",
    incarnation: "1",
    workDir: join(dir, "shadow-work"),
  });
  const proxy = await countingProxy(listener.port);
  own(proxy.close);
  const primary = await openPrimary({
    state: state("primary"),
    epoch: 1,
    from: POSITION_ZERO,
    tickMs: TICK_MS,
    workDir: join(dir, "primary-work"),
    ...common,
  });
  own(() => primary.close());
  primary.attach({ instance: "shadow", incarnation: "1", address: `127.0.0.1:${proxy.port}` });
  return { primary, shadow, wire: proxy.bytes };
}

/** Seals now and waits until the shadow shows it. */
async function visible(primary: MirrorPrimary, shadow: MirrorShadow): Promise<void> {
  const { root } = await primary.seal();
  const deadline = performance.now() + WAIT_MS_MAX;
  while (shadow.visible().root !== root) {
    if (performance.now() > deadline)
      throw new Error(`the shadow does not show the state within ${WAIT_MS_MAX} ms`);
    await sleep(1);
  }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Rewrites whole blocks at seeded places, spread over all files; returns how many. */
function changeBlocks(
  files: readonly string[],
  { blocksPerFile, seed }: { blocksPerFile: number; seed: number },
): number {
  const random = randomFrom(seed);
  const total = files.length * blocksPerFile;
  const chosen = new Set<number>();
  while (chosen.size < Math.round(total * CHANGED_SHARE)) chosen.add(Math.floor(random() * total));
  for (const block of chosen) {
    const file = openSync(files[Math.floor(block / blocksPerFile)]!, "r+");
    const data = randomFillSync(Buffer.allocUnsafe(BLOCK_BYTES));
    writeSync(file, data, 0, BLOCK_BYTES, (block % blocksPerFile) * BLOCK_BYTES);
    closeSync(file);
  }
  return chosen.size;
}

/** Mulberry32: small, and the same sequence everywhere. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Passes TCP on to `port` and counts what goes through, both ways. */
async function countingProxy(
  port: number,
): Promise<{ port: number; bytes: () => number; close: () => Promise<void> }> {
  let bytes = 0;
  const server = createServer((client) => {
    const onward = connect({ host: "127.0.0.1", port, noDelay: true });
    client.setNoDelay(true);
    for (const [from, to] of [
      [client, onward],
      [onward, client],
    ] as const) {
      from.on("data", (chunk) => {
        bytes += chunk.length;
      });
      from.on("error", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    bytes: () => bytes,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function installed(program: string): boolean {
  try {
    execFileSync(program, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** What rsync sends both ways for the same change, with blocks of the same size. */
function rsync(from: string, to: string): number {
  const report = execFileSync(
    "rsync",
    ["-a", "--no-whole-file", `--block-size=${BLOCK_BYTES}`, "--stats", `${from}/`, `${to}/`],
    { encoding: "utf8" },
  );
  const count = (what: string) =>
    Number(new RegExp(`Total bytes ${what}: ([\\d,]+)`).exec(report)?.[1]?.replaceAll(",", ""));
  return count("sent") + count("received");
}
