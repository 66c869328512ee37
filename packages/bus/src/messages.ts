/**
 * Typed messages over a bus: encode, decode, refuse. Whatever cannot be decoded, or claims a newer schema, goes to
 * `rejects.<service>` with its reason and stops nothing. The W3C trace context travels in the headers.
 */

import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type Context, context, propagation } from "@opentelemetry/api";
import { RejectSchema } from "@understudy/wire/gen/event";
import type { Header } from "@understudy/wire/gen/header";
import { headerToWire, SCHEMA_VERSION } from "@understudy/wire/header";
import type { Bus, BusMessage, FollowOptions } from "./bus.ts";
import { subjectOf, TOPICS, type Topic } from "./topics.ts";

const MESSAGE_BYTES_MAX = 1024 * 1024;
const EXCERPT_BYTES = 1024;

export type Received<S extends DescMessage> = {
  readonly subject: string;
  readonly message: MessageShape<S>;
  /** Carries the sender's span as parent. */
  readonly trace: Context;
};

/** Publishes one message under the active trace context. */
export async function publishMessage<S extends DescMessage>(
  bus: Bus,
  topic: Topic<S>,
  {
    names,
    message,
    trace = context.active(),
  }: { names: readonly string[]; message: MessageShape<S>; trace?: Context },
): Promise<void> {
  const headers: Record<string, string> = {};
  propagation.inject(trace, headers);
  await bus.publish(subjectOf(topic, ...names), toBinary(topic.schema, message), headers);
}

/** Every good message of a topic; the bad ones are rejected on the bus under `service`. */
export async function* followMessages<S extends DescMessage>(
  bus: Bus,
  topic: Topic<S>,
  options: FollowOptions & { readonly service: string; readonly names?: readonly string[] },
): AsyncGenerator<Received<S>> {
  const filter = options.names ? subjectOf(topic, ...options.names) : topic.filter;
  for await (const raw of bus.follow(filter, options)) {
    const decoded = decode(topic, raw);
    if ("reason" in decoded) await reject(bus, options.service, { raw, reason: decoded.reason });
    else
      yield {
        subject: raw.subject,
        message: decoded.message,
        trace: propagation.extract(context.active(), raw.headers),
      };
  }
}

function decode<S extends DescMessage>(
  topic: Topic<S>,
  raw: BusMessage,
): { message: MessageShape<S> } | { reason: string } {
  if (raw.data.length > MESSAGE_BYTES_MAX)
    return { reason: `message of ${raw.data.length} bytes, at most ${MESSAGE_BYTES_MAX}` };
  let message: MessageShape<S>;
  try {
    message = fromBinary(topic.schema, raw.data);
  } catch (error) {
    return { reason: `not a ${topic.schema.typeName}: ${(error as Error).message}` };
  }
  const header = (message as { header?: Header }).header;
  if (!header) return { reason: "no header" };
  if (header.schema === 0 || header.schema > SCHEMA_VERSION) {
    return { reason: `schema version ${header.schema}, we read 1 to ${SCHEMA_VERSION}` };
  }
  return { message };
}

/** Reports a message that its receiver could not use. Never throws: a bus that is away must not stop the receiver. */
export async function reject(
  bus: Bus,
  service: string,
  { raw, reason }: { raw: { subject: string; data?: Uint8Array }; reason: string },
): Promise<void> {
  const message = create(RejectSchema, {
    header: headerToWire({ time: { wallMs: Date.now(), counter: 0 }, source: service }),
    service,
    subject: raw.subject,
    reason,
    excerpt: raw.data?.subarray(0, EXCERPT_BYTES) ?? new Uint8Array(),
  });
  await publishMessage(bus, TOPICS.rejects, { names: [service], message }).catch(() => undefined);
}
