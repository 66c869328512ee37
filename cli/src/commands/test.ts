/**
 * `understudy test`: sets up what tests need and runs all of them, two files at a time, in two lanes: whole systems, of
 * which two at once would measure each other, and all the rest. Ends with "N passed, N failed".
 */

import { globSync } from "node:fs";
import { join, relative } from "node:path";
import { run as runFiles } from "node:test";
import { spec } from "node:test/reporters";
import { openRun } from "@understudy/testkit/run";
import { REPOSITORY } from "@understudy/testkit/run-folder";
import { findProgram } from "@understudy/testkit/servers/program";
import type { Command } from "commander";
import { CliError, EXIT_CODES } from "../error.ts";

const ROOTS = ["packages", "drivers", "services", "cli", "examples", "bench", "tests"];
/** A test that hangs must not hang the suite; one that needs longer says so itself. */
const TEST_TIMEOUT_MS = 120_000;

type Counts = { readonly passed: number; readonly failed: number };
type Lane = { readonly text: string; readonly counts: Counts };

export function addCommand(program: Command): void {
  program
    .command("test")
    .description("run all tests")
    .argument("[words...]", "only files whose path contains one of them")
    .action(async (words: string[]) => {
      process.exitCode = await runTests(words);
    });
}

async function runTests(words: readonly string[]): Promise<number> {
  const files = findTests(words);
  if (files.length === 0) throw new CliError("invalid", `no test file's path contains ${words.join(" or ")}`);
  // Found once here, so that tests that run side by side do not unpack the same packages.
  for (const name of ["nats-server", "redis-server", "haproxy"] as const) await findProgram(name);
  const run = openRun();
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => stop.abort());
  // Test files inherit it: whatever one of them leaves behind ends with us.
  Object.assign(process.env, run.env);
  try {
    const lanes = laneFiles(files).map((lane) => runLane(lane, stop.signal));
    const done: Lane[] = [];
    for (const lane of lanes) {
      done.push(await lane);
      process.stdout.write(done.at(-1)!.text);
    }
    return report(done, stop.signal);
  } finally {
    await run.close();
  }
}

function report(lanes: readonly Lane[], signal: AbortSignal): number {
  const passed = lanes.reduce((sum, { counts }) => sum + counts.passed, 0);
  const failed = lanes.reduce((sum, { counts }) => sum + counts.failed, 0);
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
  return failed === 0 && passed > 0 && !signal.aborted ? 0 : EXIT_CODES.failed;
}

/** One file after the other. What failed is said at once; the whole report of a lane comes when it is done. */
async function runLane(files: readonly string[], signal: AbortSignal): Promise<Lane> {
  if (files.length === 0) return { text: "", counts: { passed: 0, failed: 0 } };
  const stream = runFiles({
    files: [...files],
    concurrency: 1,
    timeout: TEST_TIMEOUT_MS,
    signal,
    cwd: REPOSITORY,
  });
  let counts: Counts = { passed: 0, failed: 0 };
  stream.on("test:fail", ({ name }) => process.stderr.write(`understudy: failed: ${name}\n`));
  stream.on("test:summary", (summary) => {
    // One for each file, and in the end one without a file, for all.
    const { tests, passed, skipped, todo } = summary.counts;
    if (summary.file === undefined) counts = { passed, failed: tests - passed - skipped - todo };
  });
  let text = "";
  for await (const part of stream.compose(spec())) text += String(part);
  return { text, counts };
}

export function findTests(words: readonly string[]): string[] {
  const found = globSync(
    ROOTS.map((root) => join(REPOSITORY, root, "**/*.test.ts")),
    { exclude: (name) => name.endsWith("node_modules") },
  );
  const wanted = (file: string) =>
    words.length === 0 || words.some((word) => relative(REPOSITORY, file).includes(word));
  return found.filter(wanted).sort();
}

/** Whole systems, and the rest. */
function laneFiles(files: readonly string[]): [string[], string[]] {
  const isWhole = (file: string) => relative(REPOSITORY, file).startsWith("tests/test/");
  return [files.filter(isWhole), files.filter((file) => !isWhole(file))];
}
