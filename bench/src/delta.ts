/**
 * What a change costs on the wire, in both directions, between two ends of a mirror over TLS: 1 % of the 4 KiB blocks of
 * 1 GiB, one byte inserted at the head of 256 MB, 1,000 small files renamed, and nothing at all. The bytes are exact on any
 * machine, the times are not. Where rsync is installed it moves the same changes between the same folders.
 */

import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HEARTBEAT_MS } from "@understudy/mirror/feed-session";
import { VERSION_FILE } from "@understudy/mirror/versions/step";
import { NOISE_SHARE_MAX, startNoise } from "@understudy/testkit/noise";
import { type Random, seededRandom } from "@understudy/testkit/random";
import type { BenchOptions, BenchResult } from "./bench.ts";
import { type MirrorEnds, withMirror } from "./mirror-ends.ts";

const BLOCK_BYTES = 4096;
const MB = 1024 * 1024;
const FILES = 64;
const BLOCKS_MB = 1024;
const CHANGED_SHARE = 0.01;
const INSERT_MB = 256;
const SMALL_FILES = 1_000;
const SMALL_BYTES = 4_000;
/** Nothing is sent by a quiet mirror but a heartbeat and its answer: that is a round. */
const IDLE_ROUNDS = 20;
const SETTLE_MS = 1_500;

type Change = {
  readonly name: string;
  readonly fill: (dir: string, random: Random) => void;
  /** Changes the state and resolves with the bytes of contents that changed. */
  readonly change: (dir: string, random: Random) => number;
};

type Cost = {
  readonly payloadBytes: number;
  readonly wireBytes: number;
  readonly idleBytes: number;
  readonly rsyncBytes: number | null;
  readonly rsyncIdleBytes: number | null;
  readonly deltaMs: number;
  readonly seedMs: number;
  readonly equal: boolean;
};

export async function run(options: BenchOptions): Promise<BenchResult> {
  const number = (name: string, otherwise: number) => Number(options.get(name) ?? otherwise);
  const seed = number("seed", 1);
  const noise = startNoise();
  const blocks = await measure(changedBlocks(number("mb", BLOCKS_MB)), seed);
  const insert = await measure(insertedByte(number("insert-mb", INSERT_MB)), seed);
  const rename = await measure(renamedFiles(number("files", SMALL_FILES)), seed);
  const { stealShare, otherShare, load1 } = noise();
  const costs = { blocks, insert, rename };
  return {
    valid: Object.values(costs).every(({ equal }) => equal),
    wireRatio: blocks.wireBytes / blocks.payloadBytes,
    insertBytes: insert.wireBytes,
    renameBytes: rename.wireBytes,
    idleBytes: Math.max(...Object.values(costs).map(({ idleBytes }) => idleBytes)),
    rsync: {
      wireRatio: blocks.rsyncBytes === null ? null : blocks.rsyncBytes / blocks.payloadBytes,
      insertBytes: insert.rsyncBytes,
      renameBytes: rename.rsyncBytes,
      idleBytes: rename.rsyncIdleBytes,
    },
    ...costs,
    timesValid: stealShare <= NOISE_SHARE_MAX && load1 <= 2,
    noise: { stealShare, busyShare: otherShare, load1 },
  };
}

async function measure({ name, fill, change }: Change, seed: number): Promise<Cost> {
  const random = seededRandom(seed);
  return withMirror({ name: `delta-${name}`, fill: (dir) => fill(dir, random) }, async (ends) => {
    const seedMs = await ends.visibleMs();
    const idleBytes = await idle(ends);
    const rsyncTo = join(ends.dir, "rsync");
    const hasRsync = installed("rsync");
    if (hasRsync) execFileSync("cp", ["-a", ends.from, rsyncTo]);
    const before = ends.wireBytes();
    const payloadBytes = change(ends.from, random);
    const deltaMs = await ends.visibleMs();
    // The last answers are on their way.
    await sleep(HEARTBEAT_MS);
    const wireBytes = ends.wireBytes() - before;
    const equal = sameFiles(ends.from, ends.to);
    const rsyncBytes = hasRsync ? rsync(ends.from, rsyncTo) : null;
    const rsyncIdleBytes = hasRsync ? rsync(ends.from, rsyncTo) : null;
    return { payloadBytes, wireBytes, idleBytes, rsyncBytes, rsyncIdleBytes, deltaMs, seedMs, equal };
  });
}

/** Bytes of a round in which nothing has changed. */
async function idle(ends: MirrorEnds): Promise<number> {
  await sleep(SETTLE_MS);
  const before = ends.wireBytes();
  await sleep(IDLE_ROUNDS * HEARTBEAT_MS);
  return (ends.wireBytes() - before) / IDLE_ROUNDS;
}

function changedBlocks(megabytes: number): Change {
  const perFile = Math.floor((megabytes * MB) / FILES / BLOCK_BYTES);
  return {
    name: "blocks",
    fill(dir) {
      for (let file = 0; file < FILES; file += 1)
        writeFileSync(join(dir, `file-${file}`), randomBytes(perFile * BLOCK_BYTES));
    },
    change(dir, random) {
      const total = FILES * perFile;
      const chosen = new Set<number>();
      while (chosen.size < Math.round(total * CHANGED_SHARE)) chosen.add(random.integer(0, total));
      for (const block of chosen) {
        const file = openSync(join(dir, `file-${Math.floor(block / perFile)}`), "r+");
        writeSync(file, randomBytes(BLOCK_BYTES), 0, BLOCK_BYTES, (block % perFile) * BLOCK_BYTES);
        closeSync(file);
      }
      return chosen.size * BLOCK_BYTES;
    },
  };
}

function insertedByte(megabytes: number): Change {
  return {
    name: "insert",
    fill: (dir) => writeFileSync(join(dir, "large"), randomBytes(megabytes * MB)),
    change(dir) {
      const file = join(dir, "large");
      writeFileSync(file, Buffer.concat([Buffer.from("+"), readFileSync(file)]));
      return 1;
    },
  };
}

function renamedFiles(count: number): Change {
  return {
    name: "rename",
    fill(dir) {
      mkdirSync(join(dir, "folder"));
      for (let file = 0; file < count; file += 1)
        writeFileSync(join(dir, `folder/customer-${file}.json`), randomBytes(SMALL_BYTES));
    },
    change(dir) {
      for (let file = 0; file < count; file += 1)
        renameSync(join(dir, `folder/customer-${file}.json`), join(dir, `folder/archived-${file}.json`));
      return 0;
    },
  };
}

function randomBytes(length: number): Buffer {
  return randomFillSync(Buffer.allocUnsafe(length));
}

function sameFiles(one: string, other: string): boolean {
  const files = (dir: string) =>
    readdirSync(dir, { recursive: true, withFileTypes: true })
      // The shadow says beside the files which version they are.
      .filter((each) => each.isFile() && each.name !== VERSION_FILE)
      .map((each) => join(each.parentPath, each.name).slice(dir.length))
      .sort();
  const names = files(one);
  if (names.join("\n") !== files(other).join("\n")) return false;
  return names.every((name) => readFileSync(join(one, name)).equals(readFileSync(join(other, name))));
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
    ["-a", "--delete", "--no-whole-file", `--block-size=${BLOCK_BYTES}`, "--stats", `${from}/`, `${to}/`],
    { encoding: "utf8" },
  );
  const count = (what: string) =>
    Number(new RegExp(`Total bytes ${what}: ([\\d,]+)`).exec(report)?.[1]?.replaceAll(",", ""));
  return count("sent") + count("received");
}
