/**
 * What a mirror needs of a host's memory, each in a process of its own: both ends while 200 Mbit/s of changes go through
 * them, the index of a large file by the block, and the capture of a million files. rsync lists the same million beside it.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { createAuthority, issueCertificate } from "@understudy/service/tls";
import type { BenchOptions, BenchResult } from "./bench.ts";
import type { AgentOptions } from "./memory-agent.ts";

const MB = 1024 * 1024;
const BLOCK_BYTES = 4096;
const RATE_BYTES_PER_S = 25_000_000;
const RATE_SECONDS = 20;
const STATE_MB = 256;
const INDEX_GB = 8;
const FILES = 1_000_000;
const FILES_PER_FOLDER = 1_000;
const FILE_BYTES = 64;
/** Of one agent, until it has read all of its state. */
const READY_MS_MAX = 180_000;

type Said = Record<string, number> & { before: { rssMb: number } };
type Agent = { readonly said: () => Said; readonly stop: () => void };

export async function run(options: BenchOptions): Promise<BenchResult> {
  const number = (name: string, otherwise: number) => Number(options.get(name) ?? otherwise);
  const dir = mkdtempSync(join(tmpdir(), "understudy-bench-memory-"));
  try {
    tell("both ends at 200 Mbit/s");
    const rate = await atRate(join(dir, "rate"), number("seconds", RATE_SECONDS));
    tell(`${rate.primaryMb} and ${rate.shadowMb} MB; the index of a large file`);
    const index = await largeIndex(join(dir, "index"), number("index-gb", INDEX_GB));
    tell(`${index.bytesPerBlock.toFixed(1)} bytes per block; many small files`);
    const files = await manyFiles(join(dir, "files"), number("files", FILES));
    return {
      valid: rate.sentShare > 0.9,
      rssMb: Math.max(rate.primaryMb, rate.shadowMb),
      bytesPerBlock: index.bytesPerBlock,
      millionFilesMb: files.peakMb,
      rate,
      index,
      files,
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** On the error stream: the result is the last line of the other one. */
function tell(what: string): void {
  console.error(`memory: ${what}`);
}

/** Both ends while file after file is rewritten, as fast as the link of the goal would carry them. */
async function atRate(dir: string, seconds: number) {
  mkdirSync(dir);
  await issueCertificate(await createAuthority(join(dir, "ca")), {
    name: "replicator",
    dir: join(dir, "tls"),
  });
  const from = join(dir, "from");
  for (const folder of [from, join(dir, "to")]) mkdirSync(folder);
  for (let file = 0; file < STATE_MB; file += 1)
    writeFileSync(join(from, `f${file}`), randomFillSync(Buffer.alloc(MB)));
  const tlsDir = join(dir, "tls");
  const shadow = await start({ role: "shadow", dir: join(dir, "to"), workDir: join(dir, "to-work"), tlsDir });
  const port = shadow.said().port!;
  const primary = await start({ role: "primary", dir: from, workDir: join(dir, "from-work"), tlsDir, port });
  try {
    for (const since = performance.now(); (shadow.said().version ?? 0) === 0; await sleep(100))
      if (performance.now() - since > READY_MS_MAX) throw new Error("no first copy");
    const before = primary.said().sentBytes!;
    const written = await writeAtRate(from, seconds);
    await sleep(1_000);
    const sent = primary.said().sentBytes! - before;
    return {
      primaryMb: Math.round(primary.said().peakMb!),
      shadowMb: Math.round(shadow.said().peakMb!),
      mbitPerS: (written * 8) / seconds / 1e6,
      sentShare: sent / written,
      lagMs: primary.said().lagMs!,
    };
  } finally {
    primary.stop();
    shadow.stop();
  }
}

async function writeAtRate(dir: string, seconds: number): Promise<number> {
  const block = Buffer.alloc(MB);
  const start = performance.now();
  let written = 0;
  for (let at = 0; performance.now() - start < seconds * 1_000; at += 1) {
    const file = openSync(join(dir, `f${at % STATE_MB}`), "r+");
    randomFillSync(block);
    writeSync(file, block, 0, block.length, 0);
    closeSync(file);
    written += block.length;
    const aheadMs = (written / RATE_BYTES_PER_S) * 1_000 - (performance.now() - start);
    if (aheadMs > 0) await sleep(aheadMs);
  }
  return written;
}

/** A file of nothing but a hole has as many blocks in the index as any other. */
async function largeIndex(dir: string, gigabytes: number) {
  mkdirSync(join(dir, "state"), { recursive: true });
  writeFileSync(join(dir, "state/large"), "");
  truncateSync(join(dir, "state/large"), gigabytes * 1024 * MB);
  const agent = await start({
    role: "capture",
    dir: join(dir, "state"),
    workDir: join(dir, "work"),
    tlsDir: "",
  });
  const { rssMb, before } = agent.said();
  agent.stop();
  const blocks = (gigabytes * 1024 * MB) / BLOCK_BYTES;
  return { blocks, bytesPerBlock: ((rssMb! - before.rssMb) * MB) / blocks };
}

async function manyFiles(dir: string, count: number) {
  const state = join(dir, "state");
  for (let file = 0; file < count; file += 1) {
    const folder = join(state, `folder-${Math.floor(file / FILES_PER_FOLDER)}`);
    if (file % FILES_PER_FOLDER === 0) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `document-${file}.json`), `${file}`.padEnd(FILE_BYTES));
  }
  tell(`${count} files are there; reading them`);
  const startedAt = performance.now();
  const agent = await start({ role: "capture", dir: state, workDir: join(dir, "work"), tlsDir: "" });
  const { rssMb, peakMb, entries } = agent.said();
  agent.stop();
  const openedS = Math.round((performance.now() - startedAt) / 1_000);
  return {
    count: entries!,
    rssMb: Math.round(rssMb!),
    peakMb: Math.round(peakMb!),
    openedS,
    rsyncMb: await rsyncMb(state, join(dir, "empty")),
  };
}

/** The most that rsync needs to list the same folder, in megabytes; null where it is not installed. */
async function rsyncMb(from: string, to: string): Promise<number | null> {
  mkdirSync(to);
  const child = spawn("rsync", ["-an", "--no-inc-recursive", `${from}/`, `${to}/`], { stdio: "ignore" });
  let [peak, running] = [0, true];
  const gone = new Promise<boolean>((resolve) => {
    child.on("error", () => resolve(false));
    child.on("exit", () => resolve(true));
  }).finally(() => {
    running = false;
  });
  while (running) {
    peak = Math.max(peak, peakOf(child));
    await sleep(100);
  }
  return (await gone) ? Math.round(peak) : null;
}

function peakOf({ pid }: ChildProcess): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** Resolves when it is ready. */
async function start(options: AgentOptions): Promise<Agent> {
  const script = join(import.meta.dirname, "memory-agent.ts");
  const child = spawn(process.execPath, [script, JSON.stringify(options)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  let said: Said | undefined;
  createInterface({ input: child.stdout! }).on("line", (line) => {
    said = { ...said, ...JSON.parse(line) };
  });
  const deadline = performance.now() + READY_MS_MAX;
  while (!said) {
    if (child.exitCode !== null || performance.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`the ${options.role} end did not start`);
    }
    await sleep(50);
  }
  return { said: () => said!, stop: () => void child.kill("SIGKILL") };
}
