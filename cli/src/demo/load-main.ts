/**
 * The load generator as a process of its own, so that a busy demo cannot make it late. Its job is a JSON file named on
 * the command line; it reports over IPC, writes its records to a file, and ends when its parent does.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { runLoad } from "./load.ts";
import { type DemandOptions, planLoad } from "./plan.ts";
import type { LoadProgress } from "./records.ts";

export type LoadJob = {
  readonly demand: DemandOptions;
  readonly host: string;
  readonly port: number;
  readonly keyPrefix: string;
  readonly resultFile: string;
};

export type LoadMessage =
  | { readonly type: "started"; readonly startedAtMs: number }
  | { readonly type: "progress"; readonly progress: LoadProgress }
  | { readonly type: "done" };

const job = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as LoadJob;
const stop = new AbortController();
process.once("disconnect", () => process.exit());
for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => stop.abort());

const tell = (message: LoadMessage) => process.send?.(message);
const result = await runLoad({
  ...job,
  arrivals: planLoad(job.demand).draw(),
  onStart: (startedAtMs) => tell({ type: "started", startedAtMs }),
  onProgress: (progress) => tell({ type: "progress", progress }),
  signal: stop.signal,
});
writeFileSync(job.resultFile, JSON.stringify(result), { mode: 0o600 });
tell({ type: "done" });
process.disconnect?.();
