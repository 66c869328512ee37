/**
 * Kills either end of a mirror at random points, over and over, with writers that go on and readers that verify: nothing a
 * reader sees is torn, what a barrier acknowledged is there after the kill (also when the primary dies with the shadow
 * that acknowledged it), and in the end both sides hold the same. `--kills N`, `--seed N`, `--worlds N`; with `--seconds N`
 * it ends earlier, and reports the kills there were: runs of different seeds add up.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { createAuthority, issueCertificate } from "@understudy/service/tls";
import type { BenchOptions, BenchResult } from "./bench.ts";
import type { EndOptions } from "./mirror-end.ts";
import { PLAIN_FILES, SQLITE, type StateKind, stateAt, TornState } from "./torn-states.ts";

const KILLS = 1000;
const WORLDS = 4;
/** From the start of an end to its kill. */
const LIFE_MS_MAX = 150;
const LOOK_EVERY_MS = 10;
const WAIT_MS_MAX = 120_000;
const BARRIER_WAIT_MS_MAX = 10_000;
const TICK_MS = 20;
const BARRIER_EVERY_MS = 10;

type Tally = {
  kills: number;
  both: number;
  looks: number;
  barriers: number;
  torn: number;
  barrierLost: number;
  diverged: number;
  readonly findings: string[];
};

export async function run(options: BenchOptions): Promise<BenchResult> {
  const kills = Number(options.get("kills") ?? KILLS);
  const seed = Number(options.get("seed") ?? 1);
  const worlds = Math.min(kills, Number(options.get("worlds") ?? WORLDS));
  const seconds = Number(options.get("seconds") ?? Number.POSITIVE_INFINITY);
  const dir = mkdtempSync(join(tmpdir(), "understudy-bench-torn-"));
  const tally: Tally = {
    kills: 0,
    both: 0,
    looks: 0,
    barriers: 0,
    torn: 0,
    barrierLost: 0,
    diverged: 0,
    findings: [],
  };
  const began = performance.now();
  try {
    await issueCertificate(await createAuthority(join(dir, "ca")), {
      name: "replicator",
      dir: join(dir, "tls"),
    });
    await Promise.all(
      Array.from({ length: worlds }, (_, index) =>
        runWorld({
          dir: join(dir, String(index)),
          tlsDir: join(dir, "tls"),
          kind: index % 2 === 0 ? SQLITE : PLAIN_FILES,
          kills: Math.floor(kills / worlds) + (index < kills % worlds ? 1 : 0),
          random: randomFrom(seed * 1000 + index),
          untilMs: began + seconds * 1000,
          tally,
        }),
      ),
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  const { findings, ...counts } = tally;
  return {
    ...counts,
    seed,
    seconds: Math.round((performance.now() - began) / 1000),
    findings: findings.slice(0, 10),
  };
}

type World = {
  readonly dir: string;
  readonly tlsDir: string;
  readonly kind: StateKind;
  readonly kills: number;
  readonly random: () => number;
  readonly untilMs: number;
  readonly tally: Tally;
};

type Said = {
  readonly port?: number;
  readonly durable?: { readonly version: number };
  readonly visible?: { readonly version: number; readonly root: string };
  readonly open?: boolean;
  readonly position?: { readonly version: number; readonly root: string };
  readonly barrier?: number;
  readonly version?: number;
};

type Running = { readonly child: ChildProcess; said: Said };

async function runWorld(world: World): Promise<void> {
  const { dir, kind, kills, random, tally, untilMs } = world;
  const [here, there] = [join(dir, "primary"), join(dir, "shadow")];
  for (const folder of [here, there]) mkdirSync(folder, { recursive: true });
  const writer = start(kind.writer(here));
  const leader = { pid: writer.child.pid!, startTicks: startTicksOf(writer.child.pid!) };
  let port = 0;
  let acknowledged = { value: 0, version: 0 };
  const ends: { primary?: Running; shadow?: Running } = {};
  let over = false;
  let seeded = false;

  const startShadow = async () => {
    const options = { role: "shadow", state: stateAt(kind, there), workDir: `${there}-work`, port } as const;
    ends.shadow = startEnd(world, options);
    await until("the shadow listens", () => ends.shadow!.said.port !== undefined, ends.shadow);
    port = ends.shadow.said.port!;
  };
  const startPrimary = async () => {
    const options = { role: "primary", state: stateAt(kind, here), workDir: `${here}-work`, port } as const;
    ends.primary = startEnd(world, { ...options, writer: leader }, ({ barrier, version }) => {
      if (barrier === undefined) return;
      tally.barriers += 1;
      acknowledged = { value: Math.max(acknowledged.value, barrier), version: version! };
    });
    await until("the primary is open", () => ends.primary!.said.open === true, ends.primary);
  };
  /** Throws no torn state: it is counted. */
  const look = async (): Promise<number | undefined> => {
    try {
      const seen = await kind.look(there);
      tally.looks += 1;
      return seen;
    } catch (error) {
      if (error instanceof TornState) {
        tally.torn += 1;
        tally.findings.push(`torn: ${error.message}`);
      } else if (seeded) tally.findings.push(`reader: ${(error as Error).message}`);
      return undefined;
    }
  };
  const reader = async () => {
    while (!over) {
      if (seeded) await look();
      await sleep(LOOK_EVERY_MS);
    }
  };
  /** What was acknowledged is on the shadow's disk, and shows there without any help. */
  const checkBarrier = async (known: typeof acknowledged) => {
    const durable = ends.shadow!.said.durable?.version ?? 0;
    const value = await look();
    if (durable >= known.version && (value === undefined || value >= known.value)) return;
    tally.barrierLost += 1;
    tally.findings.push(`acknowledged ${known.value} in ${known.version}, found ${value} in ${durable}`);
  };

  const nextBarrier = async () => {
    const { version } = acknowledged;
    const deadline = performance.now() + BARRIER_WAIT_MS_MAX;
    while (acknowledged.version === version && performance.now() < deadline) await sleep(1);
  };

  await until("the writer writes", () => writer.lines > 3, writer);
  await startShadow();
  await startPrimary();
  // Durable comes before visible: until then its readers find the empty folder of before.
  await until(
    "the shadow shows its first version",
    () => acknowledged.version > 0 && (ends.shadow!.said.visible?.version ?? 0) > 0,
  );
  seeded = true;
  const reading = reader();
  for (let kill = 0; kill < kills && performance.now() < untilMs; kill += 1) {
    // Half of them right after an acknowledgement: that is when there is most to lose.
    if (random() < 0.5) await nextBarrier();
    await sleep(random() * LIFE_MS_MAX);
    const dice = random();
    const [primaryDies, shadowDies] = [dice < 0.5, dice >= 0.35];
    await Promise.all([primaryDies && end(ends.primary!), shadowDies && end(ends.shadow!)]);
    tally.kills += Number(primaryDies) + Number(shadowDies);
    tally.both += Number(primaryDies && shadowDies);
    kill += Number(primaryDies && shadowDies);
    const known = acknowledged;
    if (shadowDies) {
      await startShadow();
      await checkBarrier(known);
    }
    if (primaryDies) await startPrimary();
  }
  await settle();
  over = true;
  await reading;
  for (const running of [ends.primary!, ends.shadow!, writer]) await end(running);

  async function settle(): Promise<void> {
    await end(ends.primary!);
    await end(writer);
    await startPrimary();
    const { position } = ends.primary!.said;
    await until(
      "the shadow shows the last version",
      () => ends.shadow!.said.visible?.root === position!.root,
    );
    if (kind.contents(here) === kind.contents(there)) return;
    tally.diverged += 1;
    tally.findings.push(`diverged: ${kind.consistency}`);
  }
}

function startEnd(
  { tlsDir }: World,
  options: Omit<EndOptions, "tlsDir" | "pauseMs" | "tickMs">,
  onSaid: (said: Said) => void = () => undefined,
): Running {
  const all: EndOptions = { ...options, tlsDir, tickMs: TICK_MS, pauseMs: BARRIER_EVERY_MS };
  const running: Running & { lines: number } = start(
    [join(import.meta.dirname, "mirror-end.ts"), JSON.stringify(all)],
    (line) => {
      const said: Said = JSON.parse(line);
      running.said = { ...running.said, ...said };
      onSaid(said);
    },
  );
  return running;
}

function start(
  [script, ...args]: readonly string[],
  onLine: (line: string) => void = () => undefined,
): Running & { lines: number } {
  const child = spawn(process.execPath, [script!, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
    detached: true,
  });
  const running = { child, said: {}, lines: 0 };
  createInterface({ input: child.stdout! }).on("line", (line) => {
    running.lines += 1;
    onLine(line);
  });
  return running;
}

/** With all that it started in its group; what it left in other groups has to look after itself. */
async function end({ child }: Running): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  process.kill(child.pid!, "SIGKILL");
  await gone;
}

async function until(what: string, holds: () => boolean, running?: Running): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!holds()) {
    const { child } = running ?? {};
    if (child && (child.exitCode !== null || child.signalCode !== null))
      throw new Error(`its process ended before ${what}`);
    if (performance.now() > deadline) throw new Error(`waited ${WAIT_MS_MAX} ms in vain until ${what}`);
    await sleep(2);
  }
}

function startTicksOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]);
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
