/**
 * gRPC between our processes: grpc-js for the transport, protobuf-es for the messages, mTLS always. Here is the serving side; the
 * calling side is grpc-client.ts. One generic function turns a generated service description into what grpc-js wants
 * (grpc-definition.ts); handlers and clients are typed by it.
 */

import type { DescMessage, DescMethod, DescService, MessageShape } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import type { Endpoint } from "@understudy/model/endpoint";
import { CHANNEL_OPTIONS, definitionOf } from "./grpc-definition.ts";
import { statusOf } from "./grpc-error.ts";
import type { TlsMaterial } from "./tls.ts";

export { type Client, connectGrpc } from "./grpc-client.ts";
export { GrpcError } from "./grpc-error.ts";

/** What has not ended by then is ended by force. */
export const SHUTDOWN_MS = 1_000;

/** What a handler knows about its call. */
export type Call = {
  /** Common name of the caller's certificate. */
  readonly peer: string;
  /** Aborts when the caller goes away or its deadline passes, a stream's also when the server closes. */
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

export type Implementation = {
  readonly definition: grpc.ServiceDefinition;
  readonly name: string;
  /** `closing` ends the streams. */
  handlers(closing: AbortSignal): grpc.UntypedServiceImplementation;
};

export function implement<S extends DescService>(service: S, handlers: Handlers<S>): Implementation {
  const table = handlers as Record<string, UnaryHandler<DescMethod> & StreamHandler<DescMethod>>;
  const serve = ({ localName, methodKind }: DescMethod, closing: AbortSignal) => {
    const handler = table[localName]!;
    const served = methodKind === "server_streaming" ? serveStream(handler, closing) : serveUnary(handler);
    return served as grpc.UntypedHandleCall;
  };
  return {
    definition: definitionOf(service),
    name: service.typeName,
    handlers: (closing) =>
      Object.fromEntries(service.methods.map((method) => [method.localName, serve(method, closing)])),
  };
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
  closing: AbortSignal,
): grpc.handleServerStreamingCall<never, MessageShape<DescMessage>> {
  return async (call) => {
    const { peer, signal } = callOf(call);
    try {
      await pump(handler(call.request, { peer, signal: AbortSignal.any([signal, closing]) }), call);
    } catch (error) {
      // Not destroy: it would end the stream without a status, and the caller would wait for ever.
      call.emit("error", statusOf(error));
    }
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

export type GrpcServer = { readonly port: number; close(): Promise<void> };

/** Serves over mTLS: a caller without a certificate of our authority is refused. Also serves grpc.health.v1. */
export async function serveGrpc(options: {
  readonly listen: Endpoint;
  readonly tls: TlsMaterial;
  readonly services: readonly Implementation[];
}): Promise<GrpcServer> {
  const server = new grpc.Server(CHANNEL_OPTIONS);
  const closing = new AbortController();
  for (const { definition, handlers } of options.services)
    server.addService(definition, handlers(closing.signal));
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
  return { port: bound, close: () => closeServer(server, closing) };
}

/** Streams would never end by themselves; calls are given a moment. */
function closeServer(server: grpc.Server, closing: AbortController): Promise<void> {
  closing.abort();
  return new Promise((resolve) => {
    const force = setTimeout(() => server.forceShutdown(), SHUTDOWN_MS);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}
