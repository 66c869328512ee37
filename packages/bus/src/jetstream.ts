/**
 * The bus over NATS JetStream. Publishing waits for the stream's acknowledgement; following uses ordered consumers, which
 * need no state on the server: after any gap a new one starts from the last message of each subject, or from now.
 */

import {
  type ConsumerMessages,
  DeliverPolicy,
  DiscardPolicy,
  type JetStreamClient,
  jetstream,
  jetstreamManager,
  StorageType,
} from "@nats-io/jetstream";
import {
  connect,
  type MsgHdrs,
  type NatsConnection,
  nanos,
  headers as natsHeaders,
} from "@nats-io/transport-node";
import { pause } from "@understudy/model/pause";
import { type Bus, BusError, type BusHeaders, type BusMessage, type FollowOptions } from "./bus.ts";
import { STREAMS, type StreamSpec, SUBJECT_PREFIX, streamOf } from "./topics.ts";

const PUBLISH_TIMEOUT_MS = 2_000;
const RECONNECT_WAIT_MS = 100;
const REOPEN_WAIT_MS = 100;
const HEARTBEAT_MS = 2_000;
/** Messages asked for ahead; bounds what waits in memory for a slow reader. */
const AHEAD_MAX = 512;

export type NatsAccess = { readonly url: string; readonly user: string; readonly password: string };

/** Connects, waiting for a server that is not there yet; throws BusError "refused" when it does not accept the user. */
export async function connectJetStream(access: NatsAccess & { readonly name: string }): Promise<Bus> {
  const connection = await open(access);
  const client = jetstream(connection, { timeout: PUBLISH_TIMEOUT_MS });
  const follows = new Set<ConsumerMessages>();
  let up = true;
  void watchStatus(connection, (isUp) => {
    up = isUp;
    // Consumers of before the gap are gone or silent: end them now, so that their followers start new ones at once.
    if (isUp) for (const messages of follows) messages.stop();
  });
  return {
    publish: async (subject, data, headers) => {
      // The client would keep the message for later; a pipeline of levels wants the newest then, not this one.
      if (!up) throw new BusError("unreachable", `publish ${subject}: NATS at ${access.url} is away`);
      if (connection.isClosed()) throw new BusError("closed", "the bus is closed");
      await publish(client, { subject, data, headers: headers ?? {} });
    },
    follow: (filter, options) => follow(connection, follows, { filter, ...options }),
    last: (subject) => last(connection, subject),
    connected: () => up && !connection.isClosed(),
    close: async () => {
      for (const messages of follows) messages.stop();
      await connection.drain().catch(() => connection.close());
    },
  };
}

async function open(access: NatsAccess & { readonly name: string }): Promise<NatsConnection> {
  try {
    return await connect({
      servers: access.url,
      user: access.user,
      pass: access.password,
      name: access.name,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      waitOnFirstConnect: true,
      pingInterval: HEARTBEAT_MS,
      maxPingOut: 2,
      // A stack trace for each request, in case it fails, cost as much as the request itself.
      noAsyncTraces: true,
    });
  } catch (error) {
    throw new BusError(
      "refused",
      `NATS at ${access.url} refused user ${access.user}: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

async function watchStatus(connection: NatsConnection, changed: (up: boolean) => void): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === "disconnect" || status.type === "staleConnection") changed(false);
    if (status.type === "reconnect") changed(true);
  }
}

async function publish(
  client: JetStreamClient,
  message: { subject: string; data: Uint8Array; headers: BusHeaders },
): Promise<void> {
  const headers = natsHeaders();
  for (const [key, value] of Object.entries(message.headers)) headers.set(key, value);
  try {
    await client.publish(message.subject, message.data, { headers });
  } catch (error) {
    throw new BusError("timeout", `publish ${message.subject}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function* follow(
  connection: NatsConnection,
  follows: Set<ConsumerMessages>,
  { filter, from, signal }: FollowOptions & { filter: string },
): AsyncGenerator<BusMessage> {
  let policy = from === "last" ? DeliverPolicy.LastPerSubject : DeliverPolicy.New;
  while (!signal.aborted && !connection.isClosed()) {
    const messages = await consume(connection, filter, policy);
    if (messages) {
      follows.add(messages);
      const stop = () => messages.stop();
      signal.addEventListener("abort", stop, { once: true });
      if (signal.aborted) stop();
      try {
        for await (const { subject, data, headers } of messages)
          yield { subject, data, headers: plain(headers) };
      } finally {
        signal.removeEventListener("abort", stop);
        follows.delete(messages);
        messages.stop();
      }
    }
    // What came during a gap is not lost to a reader of the newest: it starts again from the last of each subject.
    policy = DeliverPolicy.LastPerSubject;
    if (from === "new" && filter.includes(".metrics.")) policy = DeliverPolicy.New;
    await pause(REOPEN_WAIT_MS, signal);
  }
}

/** Undefined while the server is away: the caller tries again. */
async function consume(
  connection: NatsConnection,
  filter: string,
  policy: DeliverPolicy,
): Promise<ConsumerMessages | undefined> {
  try {
    const consumers = jetstream(connection, { timeout: PUBLISH_TIMEOUT_MS }).consumers;
    const consumer = await consumers.get(streamOf(filter), {
      filter_subjects: filter,
      deliver_policy: policy,
    });
    return await consumer.consume({
      max_messages: AHEAD_MAX,
      idle_heartbeat: HEARTBEAT_MS,
      expires: 3 * HEARTBEAT_MS,
    });
  } catch (error) {
    if (error instanceof RangeError) throw error;
    return undefined;
  }
}

async function last(connection: NatsConnection, subject: string): Promise<BusMessage | undefined> {
  try {
    const manager = await jetstreamManager(connection, { timeout: PUBLISH_TIMEOUT_MS, checkAPI: false });
    const found = await manager.streams.getMessage(streamOf(subject), { last_by_subj: subject });
    return found ? { subject: found.subject, data: found.data, headers: plain(found.header) } : undefined;
  } catch (error) {
    if ((error as { code?: number }).code === 10_037 || /no message found/i.test((error as Error).message))
      return undefined;
    throw new BusError("timeout", `last ${subject}: ${(error as Error).message}`, { cause: error });
  }
}

function plain(headers: MsgHdrs | undefined): BusHeaders {
  if (!headers) return {};
  return Object.fromEntries(headers.keys().map((key) => [key.toLowerCase(), headers.get(key)]));
}

/** Makes or updates every stream of the pipeline; for the user who may (set-up, not the services). `replicas`: servers that keep each message. */
export async function ensureStreams(access: NatsAccess, { replicas = 1 } = {}): Promise<void> {
  const connection = await open({ ...access, name: "ensure-streams" });
  try {
    const manager = await jetstreamManager(connection, { timeout: PUBLISH_TIMEOUT_MS });
    for (const spec of STREAMS) await ensureStream(manager, spec, replicas);
  } finally {
    await connection.close();
  }
}

async function ensureStream(
  manager: Awaited<ReturnType<typeof jetstreamManager>>,
  spec: StreamSpec,
  replicas: number,
): Promise<void> {
  const config = {
    subjects: spec.subjects.map((subject) => `${SUBJECT_PREFIX}.${subject}`),
    storage: StorageType.File,
    num_replicas: replicas,
    max_age: nanos(spec.maxAgeMs),
    max_bytes: spec.maxBytes,
    max_msgs_per_subject: spec.lastPerSubject === 0 ? -1 : spec.lastPerSubject,
    discard: DiscardPolicy.Old,
  };
  try {
    await manager.streams.update(spec.name, config);
  } catch {
    await manager.streams.add({ name: spec.name, ...config });
  }
}
