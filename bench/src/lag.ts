/**
 * Lag at 1,000 changes a second: from the moment a change was durable on the primary (its transaction committed, its write
 * returned) to the moment a reader of the shadow's state sees it. For files as they are written (none), with the
 * application's own quiesce (hook), and SQLite; then SQLite over a link of 50 ms round trip and 1 % loss between two
 * network namespaces (linkemu.c). Writer, both ends and reader are four processes; their clocks are the machine's.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { MirroredState } from "@understudy/mirror/engine";
import type { HoldSpec } from "@understudy/model/policy";
import { createAuthority, issueCertificate } from "@understudy/service/tls";
import { NOISE_SHARE_MAX, startNoise } from "@understudy/testkit/noise";
import type { BenchOptions, BenchResult } from "./bench.ts";
import type { EndOptions } from "./mirror-end.ts";

const RATE = 1000;
const SECONDS = 60;
const TICK_MS = 10;
const LOOK_EVERY_MS = 1;
const WAIT_MS_MAX = 120_000;
const LINK = { mbit: 100, oneWayMs: 25, lossPct: 1, host: "10.99.0.2" };
const http = (path: string) => ({ command: [], http: path });
const HOOK: HoldSpec = {
  kind: "hook",
  quiesce: http("/quiesce"),
  thaw: http("/thaw"),
  callMs: 2_000,
  timeoutMs: 4_000,
};

type Cell = {
  readonly name: "none" | "hook" | "sqlite" | "wan";
  readonly consistency: "none" | "hook" | "sqlite";
};
const CELLS: readonly Cell[] = [
  { name: "none", consistency: "none" },
  { name: "hook", consistency: "hook" },
  { name: "sqlite", consistency: "sqlite" },
  { name: "wan", consistency: "sqlite" },
];

export async function run(options: BenchOptions): Promise<BenchResult> {
  const seconds = Number(options.get("seconds") ?? SECONDS);
  const only = options.get("only")?.split(",");
  const noise = startNoise();
  const cells: Record<string, Awaited<ReturnType<typeof measure>> | null> = {};
  for (const cell of CELLS) {
    if (only && !only.includes(cell.name)) continue;
    cells[cell.name] =
      cell.name === "wan"
        ? await overLink((link) => measure(cell, { seconds, link }))
        : await measure(cell, { seconds });
    console.error(`lag ${cell.name}: ${JSON.stringify(cells[cell.name])}`);
  }
  const { stealShare, load1 } = noise();
  const near = ["none", "hook", "sqlite"].flatMap((name) => cells[name] ?? []);
  const worst = (of: (cell: (typeof near)[number]) => number) =>
    near.length > 0 ? Math.max(...near.map(of)) : null;
  return {
    valid:
      stealShare <= NOISE_SHARE_MAX && load1 <= 6 && near.every(({ writerLateMs }) => writerLateMs <= 50),
    p50Ms: worst((cell) => cell.p50Ms),
    p99Ms: worst((cell) => cell.p99Ms),
    wanP99Ms: cells.wan?.p99Ms ?? null,
    cells,
    noise: { stealShare, load1 },
  };
}

type Link = { readonly primary: string; readonly shadow: string };

async function measure({ consistency }: Cell, { seconds, link }: { seconds: number; link?: Link }) {
  const dir = mkdtempSync(join(tmpdir(), "understudy-bench-lag-"));
  const running: ChildProcess[] = [];
  try {
    return await measureIn(dir, { consistency, seconds, running, ...(link && { link }) });
  } finally {
    for (const child of running) child.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measureIn(
  dir: string,
  {
    consistency,
    seconds,
    running,
    link,
  }: { consistency: Cell["consistency"]; seconds: number; running: ChildProcess[]; link?: Link },
) {
  await issueCertificate(await createAuthority(join(dir, "ca")), {
    name: "replicator",
    dir: join(dir, "tls"),
  });
  const stateOf = (name: string): MirroredState => {
    mkdirSync(join(dir, name), { recursive: true });
    const paths = [consistency === "sqlite" ? "state.db" : "."];
    return {
      resource: "bench",
      dir: join(dir, name),
      paths,
      consistency,
      ...(consistency === "hook" && { hold: HOOK }),
    };
  };
  const kind = consistency === "sqlite" ? "sqlite" : "files";
  const writer = start([
    join(import.meta.dirname, "lag-writer.ts"),
    kind,
    stateOf("one").dir,
    String(RATE),
    String(seconds),
  ]);
  running.push(writer.child);
  await until("the writer listens", () => writer.said.port !== undefined);
  const common = { tlsDir: join(dir, "tls"), tickMs: TICK_MS, pauseMs: 0, ...(link && { host: LINK.host }) };
  const endOf = (
    options: Pick<EndOptions, "role" | "state" | "workDir" | "port"> & Partial<EndOptions>,
    namespace?: string,
  ) => {
    const end = start(
      [join(import.meta.dirname, "mirror-end.ts"), JSON.stringify({ ...common, ...options })],
      namespace,
    );
    running.push(end.child);
    return end;
  };
  const shadow = endOf(
    { role: "shadow", state: stateOf("two"), workDir: join(dir, "two-work"), port: 0 },
    link?.shadow,
  );
  await until("the shadow listens", () => shadow.said.port !== undefined);
  const address = `127.0.0.1:${writer.said.port}`;
  const leader = { pid: writer.child.pid!, startTicks: startTicksOf(writer.child.pid!) };
  endOf(
    {
      role: "primary",
      state: stateOf("one"),
      workDir: join(dir, "one-work"),
      port: shadow.said.port!,
      writer: leader,
      writerAddress: address,
    },
    link?.primary,
  );
  await until("seeded", () => (shadow.said.visible?.version ?? 0) > 0);
  const look = kind === "sqlite" ? databaseReader(stateOf("two").dir) : filesReader(stateOf("two").dir);
  await fetch(`http://${address}/start`, { method: "POST" });
  const seenAt = await follow(look, { total: RATE * seconds });
  await until("the writer says its times", () => writer.said.times !== undefined);
  return summary(writer.said.times!, seenAt);
}

/** What a look shows: of each of `lanes` series of changes, the newest. */
type Look = { readonly lanes: number; look(): (number | undefined)[] };

function filesReader(dir: string): Look {
  const files = Array.from({ length: 16 }, (_, index) => join(dir, `file-${index}`));
  return {
    lanes: 16,
    look: () => files.map((file) => Number(readFileSync(file).subarray(0, 12).toString("latin1"))),
  };
}

function databaseReader(dir: string): Look {
  const database = new DatabaseSync(join(dir, "state.db"), { readOnly: true, timeout: 5_000 });
  const newest = database.prepare("SELECT n FROM changes WHERE id = 1");
  return { lanes: 1, look: () => [Number(newest.get()!.n)] };
}

/** When each change was first seen, by its number; a change that a later one of its lane hides was seen with that. */
async function follow({ lanes, look }: Look, { total }: { total: number }): Promise<Float64Array> {
  const seenAt = new Float64Array(total + 1);
  const next = Array.from({ length: lanes }, (_, lane) => (lane === 0 ? lanes : lane));
  let missing = total;
  const deadline = performance.now() + WAIT_MS_MAX + (total / RATE) * 1000;
  while (missing > 0 && performance.now() < deadline) {
    const shown = look();
    const now = Number(process.hrtime.bigint()) / 1e6;
    shown.forEach((newest, lane) => {
      for (; next[lane]! <= (newest ?? 0); next[lane]! += lanes) {
        seenAt[next[lane]!] = now;
        missing -= 1;
      }
    });
    await sleep(LOOK_EVERY_MS);
  }
  if (missing > 0) throw new Error(`${missing} of ${total} changes never became visible`);
  return seenAt;
}

function summary(times: readonly number[], seenAt: Float64Array) {
  const lags = times.map((at, index) => seenAt[index + 1]! - at).sort((a, b) => a - b);
  const at = (share: number) =>
    Math.round(lags[Math.min(lags.length - 1, Math.floor(share * lags.length))]! * 10) / 10;
  const late = times.map((time, index) => time - times[0]! - (index * 1000) / RATE).sort((a, b) => a - b);
  return {
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    changes: times.length,
    writerLateMs: Math.round(late[Math.floor(late.length * 0.99)]!),
  };
}

type Said = { port?: number; visible?: { version: number }; times?: number[] };

function start(args: readonly string[], namespace?: string): { child: ChildProcess; said: Said } {
  const command = [...(namespace ? ["ip", "netns", "exec", namespace] : []), process.execPath, ...args];
  const child = spawn(command[0]!, command.slice(1), { stdio: ["pipe", "pipe", "inherit"], detached: true });
  const running = { child, said: {} as Said };
  createInterface({ input: child.stdout! }).on("line", (line) =>
    Object.assign(running.said, JSON.parse(line)),
  );
  return running;
}

/** Undefined, as null in the result, where namespaces or a compiler are not to be had. */
async function overLink<T>(work: (link: Link) => Promise<T>): Promise<T | null> {
  const dir = mkdtempSync(join(tmpdir(), "understudy-bench-link-"));
  const link = { primary: `us-lag-a-${process.pid}`, shadow: `us-lag-b-${process.pid}` };
  let emulator: ChildProcess | undefined;
  try {
    execFileSync("gcc", ["-O2", "-o", join(dir, "linkemu"), join(import.meta.dirname, "../linkemu.c")], {
      stdio: "ignore",
    });
    for (const name of Object.values(link)) execFileSync("ip", ["netns", "add", name]);
    const { mbit, oneWayMs, lossPct } = LINK;
    emulator = spawn(
      join(dir, "linkemu"),
      [link.primary, link.shadow, ...[mbit, oneWayMs, lossPct].map(String)],
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    await new Promise<void>((resolve, reject) => {
      emulator!.stdout!.once("data", () => resolve());
      emulator!.once("exit", () => reject(new Error("no link")));
    });
  } catch (error) {
    console.error(`lag bench: no link between namespaces: ${(error as Error).message}`);
    clean();
    return null;
  }
  try {
    return await work(link);
  } finally {
    clean();
  }

  function clean(): void {
    emulator?.kill("SIGTERM");
    for (const name of Object.values(link)) {
      try {
        execFileSync("ip", ["netns", "del", name], { stdio: "ignore" });
      } catch {
        // It was not made.
      }
    }
    rmSync(dir, { recursive: true, force: true });
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited ${WAIT_MS_MAX} ms in vain until ${what}`);
    await sleep(2);
  }
}

function startTicksOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]);
}
