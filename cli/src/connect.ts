/** From a context file to the running Understudy: the bus, the three control services, the store; each opened on first use. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Bus } from "@understudy/bus/bus";
import { connectJetStream, type NatsAccess } from "@understudy/bus/jetstream";
import { type Client, connectGrpc, GrpcError } from "@understudy/service/grpc";
import { readTls, type TlsMaterial } from "@understudy/service/tls";
import { type Context, readContext } from "@understudy/testkit/context";
import { listRunFolders } from "@understudy/testkit/run-folder";
import { HealthControl, ReplicationControl, TrafficControl } from "@understudy/wire/gen/control";
import { HostRegistry } from "@understudy/wire/gen/host";
import { CliError } from "./error.ts";
import type { Globals } from "./globals.ts";

const CONNECT_WITHIN_MS = 5000;
const CALL_WITHIN_MS = 5000;

export type Connection = {
  readonly context: Context;
  bus(): Promise<Bus>;
  replication(): Client<typeof ReplicationControl>;
  /** That one and those of other hosts. */
  replicators(): readonly { readonly address: string; readonly client: Client<typeof ReplicationControl> }[];
  hosts(): Client<typeof HostRegistry>;
  health(): Client<typeof HealthControl>;
  traffic(): Client<typeof TrafficControl>;
  close(): Promise<void>;
};

export function openConnection(globals: Globals): Connection {
  const context = findContext(globals.context);
  const opened: { close(): unknown }[] = [];
  const own = <T extends { close(): unknown }>(resource: T): T => {
    opened.push(resource);
    return resource;
  };
  let tls: TlsMaterial | undefined;
  const material = () => {
    tls ??= readTls(context.tlsDir);
    return tls;
  };
  return {
    context,
    bus: async () => own(await connectBus(natsAccess(context))),
    replication: () => own(connectGrpc(ReplicationControl, context.grpc.replicator, material())),
    replicators: () =>
      [context.grpc.replicator, ...context.grpc.otherReplicators].map((address) => ({
        address,
        client: own(connectGrpc(ReplicationControl, address, material())),
      })),
    hosts: () => own(connectGrpc(HostRegistry, context.grpc.replicator, material())),
    health: () => own(connectGrpc(HealthControl, context.grpc.health, material())),
    traffic: () => own(connectGrpc(TrafficControl, context.grpc.balancer, material())),
    close: async () => {
      for (const resource of opened) await resource.close();
    },
  };
}

/** Runs one command over a connection that is closed in the end. */
export async function withConnection<T>(
  globals: Globals,
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = openConnection(globals);
  try {
    return await use(connection);
  } finally {
    await connection.close();
  }
}

function findContext(given: string): Context {
  const file = given || newestContext();
  if (!file) {
    throw new CliError(
      "failed",
      "no Understudy is running that this command knows of: start one with `understudy demo --keep`, or name its context with --context FILE",
    );
  }
  try {
    return readContext(file);
  } catch (error) {
    throw new CliError("invalid", `cannot use context ${file}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Of the runs on this machine that are still there. */
function newestContext(): string | undefined {
  return listRunFolders()
    .map((folder) => join(folder, "context.json"))
    .find((file) => existsSync(file));
}

export function natsAccess({ nats }: Context): NatsAccess {
  return { url: nats.url, user: nats.user, password: readSecret(nats.passwordFile) };
}

export function readSecret(file: string): string {
  return file === "" ? "" : readFileSync(file, "utf8").trim();
}

/** The bus waits for a server that is away; a person should not. */
async function connectBus(access: NatsAccess): Promise<Bus> {
  const { promise, reject } = Promise.withResolvers<never>();
  const late = setTimeout(() => {
    reject(new CliError("failed", `NATS at ${access.url} does not answer: is it running?`));
  }, CONNECT_WITHIN_MS);
  try {
    return await Promise.race([connectJetStream({ ...access, name: "cli" }), promise]);
  } finally {
    clearTimeout(late);
  }
}

/** One gRPC call; a server that is away becomes a sentence with its address. */
export async function call<T>(
  { service, address }: { service: string; address: string },
  request: (options: { deadlineMs: number }) => Promise<T>,
): Promise<T> {
  try {
    return await request({ deadlineMs: CALL_WITHIN_MS });
  } catch (error) {
    if (!(error instanceof GrpcError)) throw error;
    const isAway = error.code === "unavailable" || error.code === "deadline-exceeded";
    const message = isAway ? `the ${service} at ${address} does not answer: is it running?` : error.message;
    throw new CliError(
      error.code === "not-found" || error.code === "invalid-argument" ? "invalid" : "failed",
      message,
      { cause: error },
    );
  }
}
