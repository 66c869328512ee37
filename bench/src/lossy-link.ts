/**
 * A long, lossy link on one machine: two network namespaces of our own, joined by bench/linkemu.c. Needs root, gcc and
 * iproute2. The emulator runs at real-time priority: it stands for the cable, and a cable is never short of processor.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export const NEAR_HOST = "10.99.0.1";
export const FAR_HOST = "10.99.0.2";
const SOURCE = new URL("../linkemu.c", import.meta.url).pathname;
const EMULATOR_PRIORITY = "50";
const COUNTERS_MS_MAX = 3_000;

export type LinkShape = {
  readonly mbps: number;
  readonly delayMs: number;
  readonly lossPct: number;
  readonly queueMs: number;
};

/** Of the way from near to far, since the last time they were asked for. */
export type LinkCounters = {
  readonly packets: number;
  /** IP bytes that got into the queue. */
  readonly megabytes: number;
  readonly lost: number;
  readonly dropped: number;
  readonly queueMeanMs: number;
  readonly queueMaxMs: number;
};

export interface LossyLink {
  readonly shape: LinkShape;
  /** Runs a program at one end. */
  start(end: "near" | "far", command: readonly string[]): ChildProcess;
  counters(): Promise<LinkCounters>;
  /** Rate to a tenth, and back when called again. */
  toggleRate(): void;
  close(): Promise<void>;
}

export async function openLossyLink(shape: LinkShape): Promise<LossyLink> {
  const dir = mkdtempSync(join(tmpdir(), "understudy-link-"));
  const program = join(dir, "linkemu");
  const names = { near: `understudy-near-${process.pid}`, far: `understudy-far-${process.pid}` };
  execFileSync("gcc", ["-O2", "-o", program, SOURCE], { stdio: ["ignore", "ignore", "pipe"] });
  for (const name of Object.values(names)) execFileSync("ip", ["netns", "add", name]);
  const { mbps, delayMs, lossPct, queueMs } = shape;
  const emulator = spawn(
    "chrt",
    [
      "-f",
      EMULATOR_PRIORITY,
      program,
      names.near,
      names.far,
      `${mbps}`,
      `${delayMs}`,
      `${lossPct}`,
      `${queueMs}`,
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let report = "";
  emulator.stderr.on("data", (text) => {
    report += text;
  });
  const children = new Set<ChildProcess>();

  async function close(): Promise<void> {
    for (const child of children) child.kill("SIGKILL");
    if (emulator.exitCode === null) {
      const ended = once(emulator, "exit");
      emulator.kill("SIGTERM");
      await ended;
    }
    for (const name of Object.values(names)) execFileSync("ip", ["netns", "delete", name]);
    rmSync(dir, { recursive: true, force: true });
  }

  const [up] = await Promise.race([once(emulator.stdout, "data"), once(emulator, "exit")]);
  if (!Buffer.isBuffer(up)) {
    await close();
    throw new Error(`the link emulator does not start: ${report}`);
  }

  return {
    shape,
    start(end, command) {
      const child = spawn("ip", ["netns", "exec", names[end], ...command], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      children.add(child);
      child.once("exit", () => children.delete(child));
      return child;
    },
    async counters() {
      report = "";
      emulator.kill("SIGUSR2");
      for (let waited = 0; !report.includes("B->A") && waited < COUNTERS_MS_MAX; waited += 20)
        await sleep(20);
      return readCounters(report);
    },
    toggleRate: () => void emulator.kill("SIGUSR1"),
    close,
  };
}

function readCounters(report: string): LinkCounters {
  const line = report.split("\n").find((each) => each.startsWith("A->B")) ?? "";
  const number = (name: string) => Number(new RegExp(`${name}=([\\d.]+)`).exec(line)?.[1] ?? Number.NaN);
  return {
    packets: number("pkts"),
    megabytes: number("MB"),
    lost: number("randloss"),
    dropped: number("qdrop"),
    queueMeanMs: number("qmean"),
    queueMaxMs: number("qmax"),
  };
}
