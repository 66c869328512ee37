/** `npm run bench -- NAME [--json] [options]`: runs one benchmark; its last line is one JSON object. */

import { TestkitError } from "@understudy/testkit/error";
import type { BenchOptions, BenchResult } from "./bench.ts";

type Bench = {
  readonly about: string;
  readonly load: () => Promise<{ run(options: BenchOptions): Promise<BenchResult> }>;
};

const BENCHES: Readonly<Record<string, Bench>> = {
  pipeline: {
    about: "100 instances at 10 Hz: sample taken to weight acknowledged by a real HAProxy",
    load: () => import("./pipeline.ts"),
  },
  delta: {
    about: "changed blocks, an inserted byte, renames and nothing: bytes on the wire, rsync beside",
    load: () => import("./delta.ts"),
  },
  memory: {
    about: "memory of both ends at 200 Mbit/s, of the index by the block, and of a million files",
    load: () => import("./memory.ts"),
  },
  torn: {
    about: "kill -9 of either end at random points, --kills N: torn reads, lost barriers, divergence",
    load: () => import("./torn.ts"),
  },
  pause: {
    about:
      "freeze of a live writer at 256 MB, on btrfs (by a loop device; root) and without reflinks: length and share of the pauses",
    load: () => import("./pause.ts"),
  },
  lag: {
    about: "1,000 changes/s for --seconds 60: durable on the primary to visible on the shadow",
    load: () => import("./lag.ts"),
  },
  "seed-lossy": {
    about: "a seed over 100 and 200 Mbit/s, 50 ms, 0 to 5 % loss, beside TCP (root, gcc, iperf3)",
    load: () => import("./seed-lossy.ts"),
  },
  "seed-fair": {
    about: "a seed beside one TCP flow, and when the link's rate falls to a tenth (root, gcc, iperf3)",
    load: () => import("./seed-fair.ts"),
  },
  "seed-clean": {
    about: "a seed between two folders on loopback, beside its own TLS and rsync",
    load: () => import("./seed-clean.ts"),
  },
  adopt: {
    about: "docker run with labels to a shadow that serves, 100 MB of state (a container engine)",
    load: () => import("./adopt.ts"),
  },
  "container-lag": {
    about:
      "a change in a container's volume to its being seen through the shadow's port (a container engine)",
    load: () => import("./container-lag.ts"),
  },
  "container-failover": {
    about:
      "docker kill of the primary to the first good write, by restart and by reload (a container engine)",
    load: () => import("./container-failover.ts"),
  },
  compose: {
    about: "docker compose up to healthy, idle use, each container killed under load (--rps N, --parts A,B)",
    load: () => import("./compose.ts"),
  },
  "reactive-sweep": {
    about: "target and hold of the reactive opponent: what each setting costs and harms",
    load: () => import("./reactive-sweep.ts"),
  },
  forecast: {
    about: "the forecast on real series (--traces DIR): error, calibration, alarms, cost",
    load: () => import("./forecast.ts"),
  },
  policies: {
    about: "the four policies on simulated runs of the demo: overload seconds and shadow seconds",
    load: () => import("./policies.ts"),
  },
};

const INVALID_EXIT = 3;
const USAGE_EXIT = 2;
const MISSING_EXIT = 1;

function parse(args: readonly string[]): { name: string; options: BenchOptions } {
  const [name = "", ...rest] = args;
  const options = new Map<string, string>();
  for (let index = 0; index < rest.length; index += 1) {
    const [flag, inline] = rest[index]!.replace(/^--/, "").split("=", 2);
    const next = rest[index + 1];
    const takesNext = inline === undefined && next !== undefined && !next.startsWith("--");
    options.set(flag!, inline ?? (takesNext ? next : "true"));
    if (takesNext) index += 1;
  }
  return { name, options };
}

/** What a machine lacks is one sentence with the remedy, and no stack. */
async function runOrExplain(bench: Bench, options: BenchOptions): Promise<BenchResult> {
  try {
    return await (await bench.load()).run(options);
  } catch (error) {
    if (!(error instanceof TestkitError) || error.code !== "not-found") throw error;
    console.error(error.message);
    return process.exit(MISSING_EXIT);
  }
}

const { name, options } = parse(process.argv.slice(2));
const bench = BENCHES[name];
if (!bench) {
  console.error(`no benchmark "${name}". There are:`);
  for (const [known, { about }] of Object.entries(BENCHES)) console.error(`  ${known.padEnd(16)} ${about}`);
  process.exit(USAGE_EXIT);
}
const result = await runOrExplain(bench, options);
console.log(JSON.stringify({ bench: name, ...result }));
process.exit(result.valid === false ? INVALID_EXIT : 0);
