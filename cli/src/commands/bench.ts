/** `understudy bench NAME`: one benchmark; its last line is one JSON object. */

import { join } from "node:path";
import { REPOSITORY } from "@understudy/testkit/run-folder";
import type { Command } from "commander";
import { runNode } from "../run-node.ts";

export function addCommand(program: Command): void {
  program
    .command("bench")
    .description("run a benchmark")
    .argument("[name]", "which one; without it, the list")
    .argument("[options...]", "of the benchmark")
    .allowUnknownOption()
    .action(async (_name: string, _rest: string[], _options, command: Command) => {
      process.exitCode = await runNode([join(REPOSITORY, "bench/src/main.ts"), ...command.args]);
    });
}
