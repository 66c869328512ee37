/**
 * A server as a child of ours: started, waited for until it answers, ended with us, and for fault tests killed and started
 * again on the same port and data.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TestkitError } from "../error.ts";
import { type Run, recordContainer } from "../run.ts";
import { waitFor } from "../wait.ts";
import { containerArguments } from "./docker.ts";
import { findProgram, type Program, type ServerName } from "./program.ts";

const READY_WITHIN_MS = 15_000;
const STOP_WITHIN_MS = 5000;
const LOG_LINES = 5;

export type Server = {
  /** Undefined while it is not running. */
  pid(): number | undefined;
  /** Asks it to end, then ends it by force. Idempotent. */
  stop(): Promise<void>;
  /** As a crash would: SIGKILL. */
  kill(): Promise<void>;
  /** Stops it if it runs, and starts it on the same port and data; resolves when it answers. */
  restart(): Promise<void>;
  /** For pauses: SIGSTOP and SIGCONT. */
  signal(name: NodeJS.Signals): void;
};

export type ServerSpec = {
  readonly program: ServerName;
  /** Inside the run's folder; holds its configuration, data and log. */
  readonly folder: string;
  readonly args: readonly string[];
  readonly isReady: () => Promise<boolean>;
};

type Running = { readonly child: ChildProcess; readonly ended: Promise<void>; readonly container?: string };

export async function startServer(run: Run, spec: ServerSpec): Promise<Server> {
  const program = await findProgram(spec.program);
  let starts = 0;
  let running: Running | undefined;

  async function start(): Promise<void> {
    starts += 1;
    const now = spawnServer(run, spec, { program, starts });
    running = now;
    void now.ended.then(() => {
      if (running === now) running = undefined;
    });
    try {
      await waitUntilReady(now, spec);
    } catch (error) {
      await end("SIGKILL");
      throw error;
    }
  }

  async function end(name: "SIGTERM" | "SIGKILL"): Promise<void> {
    const now = running;
    if (!now) return;
    send(now, name);
    const forced = setTimeout(() => send(now, "SIGKILL"), STOP_WITHIN_MS);
    await now.ended;
    clearTimeout(forced);
  }

  await start();
  return {
    pid: () => running?.child.pid,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    restart: async () => {
      await end("SIGTERM");
      await start();
    },
    signal: (name) => {
      if (running) send(running, name);
    },
  };
}

function spawnServer(
  run: Run,
  spec: ServerSpec,
  { program, starts }: { program: Program; starts: number },
): Running {
  mkdirSync(spec.folder, { recursive: true, mode: 0o700 });
  const log = openSync(join(spec.folder, `${spec.program}.log`), "a", 0o600);
  const container = program.how === "docker" ? `understudy-${run.id}-${spec.program}-${starts}` : undefined;
  const [file, args] =
    program.how === "docker"
      ? [
          "docker",
          containerArguments({ ...spec, image: program.image, container: container!, folder: run.folder }),
        ]
      : [program.file, spec.args];
  if (container) recordContainer(run, container);
  const own = program.how === "docker" ? {} : program.env;
  // A session of its own: the Ctrl-C meant for us must not end the servers before the orderly end has used them.
  const child = spawn(file, args, {
    cwd: spec.folder,
    stdio: ["ignore", log, log],
    detached: true,
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/", ...own, ...run.env },
  });
  closeSync(log);
  child.unref();
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  return { child, ended, ...(container ? { container } : {}) };
}

async function waitUntilReady(running: Running, spec: ServerSpec): Promise<void> {
  let dead = false;
  void running.ended.then(() => {
    dead = true;
  });
  await waitFor(async () => dead || (await spec.isReady()), {
    withinMs: READY_WITHIN_MS,
    what: `an answer of ${spec.program}`,
  });
  if (dead) throw new TestkitError("not-ready", `${spec.program} ended at its start: ${lastLines(spec)}`);
}

function send(running: Running, name: NodeJS.Signals): void {
  if (running.container) {
    spawn("docker", ["kill", "--signal", name, running.container], { stdio: "ignore" });
  } else {
    running.child.kill(name);
  }
}

function lastLines(spec: ServerSpec): string {
  const log = readFileSync(join(spec.folder, `${spec.program}.log`), "utf8");
  return log.trim().split("\n").slice(-LOG_LINES).join(" | ") || "it said nothing";
}
