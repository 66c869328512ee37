/** Starts the load generator as a process of its own and follows it over IPC. */

import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NICENESS, setNiceness } from "@understudy/testkit/niceness";
import type { Run } from "@understudy/testkit/run";
import type { LoadJob, LoadMessage } from "./load-main.ts";
import type { LoadProgress, LoadResult } from "./records.ts";

const MAIN = join(import.meta.dirname, "load-main.ts");

export type RunningLoad = {
  /** Wall clock; undefined until it sends. */
  startedAtMs(): number | undefined;
  progress(): LoadProgress | undefined;
  /** Rejects when it ended without a result. */
  readonly result: Promise<LoadResult>;
};

export function startLoad(run: Run, job: Omit<LoadJob, "resultFile">): RunningLoad {
  const jobFile = join(run.folder, "load.json");
  const resultFile = join(run.folder, "load-result.json");
  writeFileSync(jobFile, JSON.stringify({ ...job, resultFile } satisfies LoadJob), { mode: 0o600 });
  const child = fork(MAIN, [jobFile], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    // A session of its own: the scheduler gives each session its share, and this one must not wait for the others.
    detached: true,
    // The default, JSON, turns "no figure yet" (NaN) into null.
    serialization: "advanced",
    env: { ...process.env, ...run.env },
  });
  // It stands for clients on machines of their own, which do not wait for what they ask.
  if (child.pid) setNiceness(child.pid, NICENESS.traffic);
  let startedAtMs: number | undefined;
  let progress: LoadProgress | undefined;
  child.on("message", (message: LoadMessage) => {
    switch (message.type) {
      case "started":
        startedAtMs = message.startedAtMs;
        break;
      case "progress":
        progress = message.progress;
        break;
      case "done":
        break;
    }
  });
  const result = once(child, "exit").then(([code, signal]) => {
    if (code !== 0) throw new Error(`the load generator ended with ${signal ?? `exit code ${code}`}`);
    return JSON.parse(readFileSync(resultFile, "utf8")) as LoadResult;
  });
  return { startedAtMs: () => startedAtMs, progress: () => progress, result };
}
