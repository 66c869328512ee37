/**
 * gRPC between our processes: grpc-js for the transport, protobuf-es for the messages, mTLS always.
 * One generic function turns a generated service description into what grpc-js wants; handlers and clients are typed by it.
 */

import {
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import type { Endpoint } from "@understudy/model/endpoint";
import { PEER_NAME, type TlsMaterial } from "./tls.ts";

export const GRPC_MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
const DEADLINE_DEFAULT_MS = 5_000;
const SHUTDOWN_MS = 1_000;
const KEEPALIVE_MS = 2_000;

export type GrpcCode =
  | "cancelled"
  | "invalid-argument"
  | "deadline-exceeded"
  | "not-found"
  | "already-exists"
  | "permission-denied"
  | "failed-precondition"
  | "aborted"
  | "unimplemented"
  | "unavailable"
  | "internal";

const STATUS_BY_CODE: Record<GrpcCode, grpc.status> = {
  cancelled: grpc.status.CANCELLED,
  "invalid-argument": grpc.status.INVALID_ARGUMENT,
  "deadline-exceeded": grpc.status.DEADLINE_EXCEEDED,
  "not-found": grpc.status.NOT_FOUND,
  "already-exists": grpc.status.ALREADY_EXISTS,
  "permission-denied": grpc.status.PERMISSION_DENIED,
  "failed-precondition": grpc.status.FAILED_PRECONDITION,
  aborted: grpc.status.ABORTED,
  unimplemented: grpc.status.UNIMPLEMENTED,
  unavailable: grpc.status.UNAVAILABLE,
  internal: grpc.status.INTERNAL,
};

export class GrpcError extends Error {
  readonly code: GrpcCode;
  constructor(code: GrpcCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "GrpcError";
    this.code = code;
  }
}

/** What a handler knows about its call. */
export type Call = {
  /** Common name of the caller's certificate. */
  readonly peer: string;
  /** Aborts when the caller goes away or its deadline passes. */
  readonly signal: AbortSignal;
};

type UnaryHandler<M extends DescMethod> = (
  request: MessageShape<M["input"]>,
  call: Call,
) => Promise<MessageShape<M["output"]>>;
type StreamHandler<M extends DescMethod> = (
  request: MessageShape<M["input"]>,
  call: Call,
) => AsyncIterable<MessageShape<M["output"]>>;

export type Handlers<S extends DescService> = {
  [K in keyof S["method"]]: S["method"][K] extends { methodKind: "server_streaming" }
    ? StreamHandler<S["method"][K]>
    : UnaryHandler<S["method"][K]>;
};

export type CallOptions = { readonly deadlineMs?: number; readonly signal?: AbortSignal };

export type Client<S extends DescService> = {
  [K in keyof S["method"]]: S["method"][K] extends { methodKind: "server_streaming" }
    ? (
        request: MessageShape<S["method"][K]["input"]>,
        options: { readonly signal: AbortSignal },
      ) => AsyncIterable<MessageShape<S["method"][K]["output"]>>
    : (
        request: MessageShape<S["method"][K]["input"]>,
        options?: CallOptions,
      ) => Promise<MessageShape<S["method"][K]["output"]>>;
} & { close(): void };

export type Implementation = {
  readonly definition: grpc.ServiceDefinition;
  readonly handlers: grpc.UntypedServiceImplementation;
  readonly name: string;
};

/** protobuf-es description -> grpc-js definition. */
function definitionOf(service: DescService): grpc.ServiceDefinition {
  const entries = service.methods.map((method) => [
    method.localName,
    {
      path: `/${service.typeName}/${method.name}`,
      requestStream: false,
      responseStream: method.methodKind === "server_streaming",
      ...codec("request", method.input),
      ...codec("response", method.output),
    },
  ]);
  return Object.fromEntries(entries) as grpc.ServiceDefinition;
}

function codec(side: "request" | "response", schema: DescMessage): Record<string, unknown> {
  return {
    [`${side}Serialize`]: (message: MessageShape<DescMessage>) => Buffer.from(toBinary(schema, message)),
    [`${side}Deserialize`]: (bytes: Buffer) => fromBinary(schema, bytes),
  };
}

export function implement<S extends DescService>(service: S, handlers: Handlers<S>): Implementation {
  const table = handlers as Record<string, UnaryHandler<DescMethod> & StreamHandler<DescMethod>>;
  const wired = service.methods.map((method) => {
    const handler = table[method.localName]!;
    return [
      method.localName,
      method.methodKind === "server_streaming" ? serveStream(handler) : serveUnary(handler),
    ];
  });
  return { definition: definitionOf(service), handlers: Object.fromEntries(wired), name: service.typeName };
}

function serveUnary(
  handler: UnaryHandler<DescMethod>,
): grpc.handleUnaryCall<never, MessageShape<DescMessage>> {
  return (call, callback) => {
    handler(call.request, callOf(call)).then(
      (response) => callback(null, response),
      (error: unknown) => callback(statusOf(error)),
    );
  };
}

function serveStream(
  handler: StreamHandler<DescMethod>,
): grpc.handleServerStreamingCall<never, MessageShape<DescMessage>> {
  return (call) => {
    pump(handler(call.request, callOf(call)), call).catch((error: unknown) =>
      // Not destroy: it would end the stream without a status, and the caller would wait for ever.
      call.emit("error", statusOf(error)),
    );
  };
}

/** One message at a time: a slow watcher slows its own stream, and nothing piles up in ours. */
async function pump(
  messages: AsyncIterable<MessageShape<DescMessage>>,
  call: grpc.ServerWritableStream<never, MessageShape<DescMessage>>,
): Promise<void> {
  for await (const message of messages) {
    if (call.cancelled) return;
    if (!call.write(message)) await drained(call);
  }
  call.end();
}

function drained(call: grpc.ServerWritableStream<never, MessageShape<DescMessage>>): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off("drain", done);
      call.off("cancelled", done);
      call.off("close", done);
      resolve();
    };
    call.on("drain", done);
    call.on("cancelled", done);
    call.on("close", done);
  });
}

function callOf(call: grpc.ServerUnaryCall<never, never> | grpc.ServerWritableStream<never, never>): Call {
  const abort = new AbortController();
  call.on("cancelled", () => abort.abort());
  const certificate = call.getAuthContext().sslPeerCertificate;
  const name = certificate?.subject?.CN;
  return { peer: (Array.isArray(name) ? name[0] : name) ?? "", signal: abort.signal };
}

function statusOf(error: unknown): Partial<grpc.StatusObject> & Error {
  const known = error instanceof GrpcError;
  const code = known ? STATUS_BY_CODE[error.code] : grpc.status.INTERNAL;
  const details = error instanceof Error ? error.message : String(error);
  return Object.assign(new Error(details), { code, details });
}

export type GrpcServer = { readonly port: number; close(): Promise<void> };

/** Serves over mTLS: a caller without a certificate of our authority is refused. Also serves grpc.health.v1. */
export async function serveGrpc(options: {
  readonly listen: Endpoint;
  readonly tls: TlsMaterial;
  readonly services: readonly Implementation[];
}): Promise<GrpcServer> {
  const server = new grpc.Server({
    "grpc.max_receive_message_length": GRPC_MESSAGE_BYTES_MAX,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_MS,
  });
  for (const { definition, handlers } of options.services) server.addService(definition, handlers);
  // A client alone does not need it, and it takes time to load.
  const { HealthImplementation } = await import("grpc-health-check");
  const names = options.services.map(({ name }) => [name, "SERVING" as const]);
  new HealthImplementation({ "": "SERVING", ...Object.fromEntries(names) }).addToServer(server);
  const { ca, cert, key } = options.tls;
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(cert) };
  const credentials = grpc.ServerCredentials.createSsl(Buffer.from(ca), [pair], true);
  const { host, port } = options.listen;
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, credentials, (error, at) => (error ? reject(error) : resolve(at)));
  });
  return { port: bound, close: () => closeServer(server) };
}

function closeServer(server: grpc.Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.forceShutdown(), SHUTDOWN_MS);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}

/** A client that connects on first use and reconnects by itself; a call to a server that is away fails as `unavailable`. */
export function connectGrpc<S extends DescService>(service: S, address: string, tls: TlsMaterial): Client<S> {
  const credentials = grpc.credentials.createSsl(
    Buffer.from(tls.ca),
    Buffer.from(tls.key),
    Buffer.from(tls.cert),
  );
  const Connection = grpc.makeClientConstructor(definitionOf(service), service.typeName);
  const connection = new Connection(address, credentials, {
    "grpc.ssl_target_name_override": PEER_NAME,
    "grpc.max_receive_message_length": GRPC_MESSAGE_BYTES_MAX,
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 500,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_MS,
  });
  const methods = service.methods.map((method) => [
    method.localName,
    method.methodKind === "server_streaming" ? callStream(connection, method) : callUnary(connection, method),
  ]);
  return { ...Object.fromEntries(methods), close: () => connection.close() } as Client<S>;
}

type Message = MessageShape<DescMessage>;
type Connection = InstanceType<ReturnType<typeof grpc.makeClientConstructor>>;

function callUnary(connection: Connection, method: DescMethod) {
  return (request: Message, options: CallOptions = {}): Promise<Message> =>
    new Promise((resolve, reject) => {
      const deadline = Date.now() + (options.deadlineMs ?? DEADLINE_DEFAULT_MS);
      const call = connection[method.localName]!(
        request,
        { deadline },
        (error: grpc.ServiceError | null, response: Message) => {
          options.signal?.removeEventListener("abort", cancel);
          if (error) reject(errorOf(error, method));
          else resolve(response);
        },
      ) as grpc.ClientUnaryCall;
      const cancel = () => call.cancel();
      options.signal?.addEventListener("abort", cancel, { once: true });
      if (options.signal?.aborted) cancel();
    });
}

function callStream(connection: Connection, method: DescMethod) {
  return async function* (request: Message, options: { signal: AbortSignal }): AsyncGenerator<Message> {
    const call = connection[method.localName]!(request) as grpc.ClientReadableStream<Message>;
    const cancel = () => call.cancel();
    options.signal.addEventListener("abort", cancel, { once: true });
    if (options.signal.aborted) cancel();
    try {
      for await (const message of call) yield message as Message;
    } catch (error) {
      if (!options.signal.aborted) throw errorOf(error as grpc.ServiceError, method);
    } finally {
      options.signal.removeEventListener("abort", cancel);
      call.cancel();
    }
  };
}

function errorOf(error: grpc.ServiceError, method: DescMethod): GrpcError {
  const found = Object.entries(STATUS_BY_CODE).find(([, status]) => status === error.code);
  const code = (found?.[0] as GrpcCode | undefined) ?? "internal";
  return new GrpcError(code, `${method.parent.name}.${method.name}: ${error.details || error.message}`, {
    cause: error,
  });
}
