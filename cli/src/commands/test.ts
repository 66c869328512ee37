/** `understudy test`: sets up what tests need and runs all of them, two files at a time; ends with node:test's summary. */

import { globSync } from "node:fs";
import { join, relative } from "node:path";
import { openRun } from "@understudy/testkit/run";
import { REPOSITORY } from "@understudy/testkit/run-folder";
import { findProgram } from "@understudy/testkit/servers/program";
import type { Command } from "commander";
import { CliError } from "../error.ts";
import { runNode } from "../run-node.ts";

const ROOTS = ["packages", "drivers", "services", "cli", "examples", "bench", "tests"];
const FILES_AT_ONCE = 2;
/** A test that hangs must not hang the suite. */
const TEST_TIMEOUT_MS = 120_000;

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
  try {
    const limits = [`--test-concurrency=${FILES_AT_ONCE}`, `--test-timeout=${TEST_TIMEOUT_MS}`];
    return await runNode(["--test", ...limits, "--test-reporter=spec", ...files], {
      ...process.env,
      ...run.env,
    });
  } finally {
    await run.close();
  }
}

/** Tests over real servers first: the long ones must not be left alone at the end. */
export function findTests(words: readonly string[]): string[] {
  const found = globSync(
    ROOTS.map((root) => join(REPOSITORY, root, "**/*.test.ts")),
    {
      exclude: (name) => name.endsWith("node_modules"),
    },
  );
  const paths = found.map((file) => relative(REPOSITORY, file));
  const wanted = paths.filter((path) => words.length === 0 || words.some((word) => path.includes(word)));
  const rank = (path: string) => (path.startsWith("tests/") ? 0 : path.includes("/test/") ? 1 : 2);
  return wanted.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}
