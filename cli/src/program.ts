/** Puts the commands together, and turns whatever one throws into a sentence and an exit code. */

import { BusError } from "@understudy/bus/bus";
import { TestkitError } from "@understudy/testkit/error";
import { Command, CommanderError } from "commander";
import { CliError, EXIT_CODES } from "./error.ts";
import { addGlobals } from "./globals.ts";

type CommandFile = { addCommand(program: Command): void };

/** In the order in which help shows them. Loaded by name: a command should not wait for what only others need. */
const COMMANDS: Readonly<Record<string, () => Promise<CommandFile>>> = {
  demo: () => import("./commands/demo.ts"),
  test: () => import("./commands/test.ts"),
  apply: () => import("./commands/apply.ts"),
  discover: () => import("./commands/discover.ts"),
  status: () => import("./commands/status.ts"),
  explain: () => import("./commands/explain.ts"),
  backtest: () => import("./commands/backtest.ts"),
  train: () => import("./commands/train.ts"),
  replay: () => import("./commands/replay.ts"),
  events: () => import("./commands/events.ts"),
  state: () => import("./commands/state.ts"),
  host: () => import("./commands/host.ts"),
  join: () => import("./commands/join.ts"),
  mirror: () => import("./commands/mirror.ts"),
  streams: () => import("./commands/streams.ts"),
  secrets: () => import("./commands/secrets.ts"),
  stop: () => import("./commands/stop.ts"),
  bench: () => import("./commands/bench.ts"),
  version: () => import("./commands/version.ts"),
};

/** Runs one command line. Returns the exit code: 0, 1 when it failed, 2 for wrong input; a command may set others. */
export async function runProgram(args: readonly string[]): Promise<number> {
  try {
    const program = await createProgram(args);
    await program.parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Commander has said it already; help ends this way too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_CODES.invalid;
    process.stderr.write(`understudy: ${sentenceOf(error)}\n`);
    return error instanceof CliError ? EXIT_CODES[error.code] : EXIT_CODES.failed;
  }
}

async function createProgram(args: readonly string[]): Promise<Command> {
  const program = addGlobals(new Command("understudy"))
    .description(
      "Live shadows of running resources: forecast demand, shift reads ahead of overload, fail over fenced.",
    )
    .exitOverride()
    .showHelpAfterError("(understudy --help shows all commands)");
  const named = COMMANDS[args[0] ?? ""];
  const loading = named ? [named()] : Object.values(COMMANDS).map((load) => load());
  for (const { addCommand } of await Promise.all(loading)) addCommand(program);
  // Subcommands take over these settings only when they are made through their parent before they are set.
  for (const command of allCommands(program)) command.copyInheritedSettings(program);
  return program;
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child as Command, ...allCommands(child as Command)]);
}

/** What we foresaw is a sentence; a bug shows where it is. */
function sentenceOf(error: unknown): string {
  const foreseen = [TestkitError, CliError, BusError].some((kind) => error instanceof kind);
  if (foreseen) return (error as Error).message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
