/** `understudy events`: the timeline for people, and what was refused; `--follow` goes on with what happens. */

import { toJson } from "@bufbuild/protobuf";
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { TOPICS } from "@understudy/bus/topics";
import { type Event, EventSchema, type Reject, RejectSchema } from "@understudy/wire/gen/event";
import { hlcFromWire } from "@understudy/wire/header";
import { type Command, Option } from "commander";
import { natsAccess, withConnection } from "../connect.ts";
import { CliError } from "../error.ts";
import type { Globals } from "../globals.ts";
import { readMessage } from "../read-message.ts";

const SINCE_DEFAULT_MINUTES = 60;
const MS_PER_MINUTE = 60_000;
const BATCH_MAX = 256;
const WAIT_MS = 1000;

type EventsOptions = Globals & {
  readonly resource: string;
  readonly since: string;
  readonly follow: boolean;
  readonly rejects: boolean;
};

export function addCommand(program: Command): void {
  program
    .command("events")
    .description("show what happened")
    .option("--resource <name>", "only of this resource", "*")
    .addOption(new Option("--since <minutes>", "how far back").default(String(SINCE_DEFAULT_MINUTES)))
    .option("--follow", "go on with what happens", false)
    .option("--rejects", "what was refused, instead of what happened", false)
    .action((_options, command: Command) => events(command.optsWithGlobals<EventsOptions>()));
}

async function events(options: EventsOptions): Promise<void> {
  const minutes = Number(options.since);
  if (!(minutes >= 0)) throw new CliError("invalid", `--since "${options.since}" is no number of minutes`);
  await withConnection(options, async ({ context }) => {
    const { url, user, password } = natsAccess(context);
    const connection = await connect({ servers: url, user, pass: password, name: "cli" }).catch(
      (error: Error) => {
        throw new CliError("failed", `NATS at ${url} does not answer (${error.message}): is it running?`, {
          cause: error,
        });
      },
    );
    try {
      await printEvents(connection, options, new Date(Date.now() - minutes * MS_PER_MINUTE));
    } finally {
      await connection.close();
    }
  });
}

async function printEvents(connection: NatsConnection, options: EventsOptions, since: Date): Promise<void> {
  const topic = options.rejects ? TOPICS.rejects : TOPICS.events;
  const consumer = await jetstream(connection).consumers.get("EVENTS", {
    filter_subjects: topic.filter.replace("*", options.resource),
    deliver_policy: DeliverPolicy.StartTime,
    opt_start_time: since.toISOString(),
  });
  for (;;) {
    const batch = await consumer.fetch({ max_messages: BATCH_MAX, expires: WAIT_MS });
    let pending = 0;
    for await (const message of batch) {
      printEvent(message, options);
      pending = message.info.pending;
    }
    if (!options.follow && pending === 0) return;
  }
}

/** Anything may lie in the stream: what cannot be read is said, and the rest is shown. */
function printEvent(
  { subject, data }: { subject: string; data: Uint8Array },
  { output, rejects }: EventsOptions,
): void {
  try {
    const line = rejects
      ? readMessage(TOPICS.rejects, { subject, data, read: (reject) => renderReject(reject, output) })
      : readMessage(TOPICS.events, { subject, data, read: (event) => renderEvent(event, output) });
    process.stdout.write(`${line}\n`);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    process.stderr.write(`understudy: ${error.message}\n`);
  }
}

function renderReject(reject: Reject, output: Globals["output"]): string {
  if (output === "json") return JSON.stringify(toJson(RejectSchema, reject));
  return `${timeOf(reject.header)}  ${reject.service} refused ${reject.subject}: ${reject.reason}`;
}

function renderEvent(event: Event, output: Globals["output"]): string {
  if (output === "json") return JSON.stringify(toJson(EventSchema, event));
  const about = [event.header?.resource, event.instance].filter(Boolean).join("/");
  return `${timeOf(event.header)}  ${about}  ${event.text}`;
}

function timeOf(header: { time?: Parameters<typeof hlcFromWire>[0] } | undefined): string {
  return new Date(hlcFromWire(header?.time).wallMs).toISOString();
}
