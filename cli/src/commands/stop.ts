/** `understudy stop`: ends a cluster that a demo has kept, and removes its files. */

import { endRun } from "@understudy/testkit/run";
import type { Command } from "commander";
import { openConnection } from "../connect.ts";
import { CliError } from "../error.ts";
import { type Globals, print } from "../globals.ts";

export function addCommand(program: Command): void {
  program
    .command("stop")
    .description("end a kept demo")
    .action((_options, command: Command) => stop(command.optsWithGlobals<Globals>()));
}

async function stop(globals: Globals): Promise<void> {
  const { run } = openConnection(globals).context;
  if (!run)
    throw new CliError(
      "invalid",
      "this Understudy was not started by a demo: stop it the way it was started",
    );
  await endRun(run);
  print(globals, { text: () => `ended run ${run.id}`, json: () => ({ ended: run.id }) });
}
