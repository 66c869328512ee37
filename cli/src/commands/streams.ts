/** `understudy streams`: makes or updates the streams of the bus. For the one NATS user who may, when something is set up. */

import { ensureStreams } from "@understudy/bus/jetstream";
import { STREAMS } from "@understudy/bus/topics";
import type { Command } from "commander";
import { natsAccess, openConnection } from "../connect.ts";
import { CliError } from "../error.ts";
import { type Globals, print } from "../globals.ts";

/** JetStream keeps a message on five servers at most. */
const REPLICAS_MAX = 5;

type StreamsOptions = Globals & { readonly replicas: string };

export function addCommand(program: Command): void {
  program
    .command("streams")
    .description("make or update the streams of the bus, as its set-up user")
    .option("--replicas <number>", "servers that keep each message", "1")
    .action((_options, command: Command) => makeStreams(command.optsWithGlobals<StreamsOptions>()));
}

async function makeStreams(options: StreamsOptions): Promise<void> {
  const replicas = Number(options.replicas);
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > REPLICAS_MAX)
    throw new CliError(
      "invalid",
      `--replicas "${options.replicas}" is not a number from 1 to ${REPLICAS_MAX}`,
    );
  const connection = openConnection(options);
  try {
    await ensureStreams(natsAccess(connection.context), { replicas });
  } finally {
    await connection.close();
  }
  const names = STREAMS.map(({ name }) => name);
  print(options, {
    text: () => `${names.join(", ")}: in place, on ${replicas} ${replicas === 1 ? "server" : "servers"}`,
    json: () => ({ streams: names, replicas }),
  });
}
