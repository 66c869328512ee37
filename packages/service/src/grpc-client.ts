/** The calling side of gRPC between our processes: a typed client over mTLS. */

import type { DescMessage, DescMethod, DescService, MessageShape } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { CHANNEL_OPTIONS, definitionOf } from "./grpc-definition.ts";
import { errorOf } from "./grpc-error.ts";
import { PEER_NAME, type TlsMaterial } from "./tls.ts";

const DEADLINE_DEFAULT_MS = 5_000;

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

/** A client that connects on first use and reconnects by itself; a call to a server that is away fails as `unavailable`. */
export function connectGrpc<S extends DescService>(service: S, address: string, tls: TlsMaterial): Client<S> {
  const credentials = grpc.credentials.createSsl(
    Buffer.from(tls.ca),
    Buffer.from(tls.key),
    Buffer.from(tls.cert),
  );
  const Connection = grpc.makeClientConstructor(definitionOf(service), service.typeName);
  const connection = new Connection(address, credentials, {
    ...CHANNEL_OPTIONS,
    "grpc.ssl_target_name_override": PEER_NAME,
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 500,
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
