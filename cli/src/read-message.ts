/**
 * Messages that lie on the bus. Anything may lie there: what cannot be read is one sentence with the subject and the reason,
 * and a command that has more to show goes on without.
 */

import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import type { Bus } from "@understudy/bus/bus";
import { subjectOf, type Topic } from "@understudy/bus/topics";
import { CliError } from "./error.ts";

/** The last message of a subject; undefined when nothing was said yet. Throws a CliError when `read` refuses it. */
export async function readLast<S extends DescMessage, T>(
  bus: Bus,
  topic: Topic<S>,
  { names, read }: { names: readonly string[]; read: (message: MessageShape<S>) => T },
): Promise<T | undefined> {
  const subject = subjectOf(topic, ...names);
  const last = await bus.last(subject);
  return last && readMessage(topic, { ...last, read });
}

/** Throws a CliError when it is no such message, or `read` refuses it. */
export function readMessage<S extends DescMessage, T>(
  topic: Topic<S>,
  { subject, data, read }: { subject: string; data: Uint8Array; read: (message: MessageShape<S>) => T },
): T {
  try {
    return read(fromBinary(topic.schema, data));
  } catch (error) {
    const why = (error as Error).message;
    throw new CliError("failed", `${subject}: what is there is no ${topic.schema.name} (${why})`, {
      cause: error,
    });
  }
}
