/**
 * Frames over mutually authenticated TLS 1.3. Both ends must hold a certificate of our authority, and the name in it must
 * be one that may carry mirror data: applications have certificates of the same authority and may not.
 */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import {
  connect,
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type TLSSocket,
} from "node:tls";
import { EXPORTED_BYTES, EXPORTER_LABEL } from "./datagram/keys.ts";
import { MirrorError } from "./error.ts";
import { lentFrames } from "./lent-reader.ts";
import { frameSplitter } from "./splitter.ts";
import type { Link, Transport, TransportListener } from "./transport.ts";

/** Every certificate of our authority carries this DNS name, whatever address its holder has. */
const SERVER_NAME = "understudy";
const MIN_VERSION = "TLSv1.3";
const HANDSHAKE_MS_MAX = 5_000;
const LINKS_MAX = 256;
const SEND_BYTES_MAX = 4 * 1024 * 1024;

export type TlsOptions = {
  readonly tls: SecureContextOptions;
  /** Which common names may be at the other end. */
  readonly allows?: (name: string) => boolean;
  /** Differentiated services code point of what we send over a link that we open, 0..63. */
  readonly dscpOf?: (address: string) => number | undefined;
};

/** The two lowest bits of the field are for congestion notification. */
const DSCP_SHIFT = 2;

/** "replicator", or one replicator of several: "replicator-edge-a". */
export function isReplicator(name: string): boolean {
  return name === "replicator" || name.startsWith("replicator-");
}

export function tlsTransport({ tls, allows = isReplicator, dscpOf }: TlsOptions): Transport {
  // Once: reading keys and certificates costs more than a handshake with them.
  const secureContext = createSecureContext({ ...tls, minVersion: MIN_VERSION });
  return {
    async connect(address, signal) {
      const socket = connect({
        ...hostAndPort(address),
        secureContext,
        servername: SERVER_NAME,
      });
      const dscp = dscpOf?.(address);
      if (dscp !== undefined) socket.setTypeOfService(dscp << DSCP_SHIFT);
      try {
        await once(socket, "secureConnect", {
          signal: AbortSignal.any([signal, AbortSignal.timeout(HANDSHAKE_MS_MAX)]),
        });
        return linkOver(socket, allows);
      } catch (cause) {
        socket.destroy();
        throw connectError(address, cause);
      }
    },
    listen: (options) => listen({ ...options, tls, allows }),
  };
}

async function listen({
  host,
  port,
  serve,
  onError,
  tls,
  allows,
}: Parameters<Transport["listen"]>[0] & Required<Omit<TlsOptions, "dscpOf">>): Promise<TransportListener> {
  const server = createServer({
    ...tls,
    minVersion: MIN_VERSION,
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: HANDSHAKE_MS_MAX,
  });
  const open = new Set<TLSSocket>();
  server.maxConnections = LINKS_MAX;
  server.on("tlsClientError", (error: NodeJS.ErrnoException) => {
    // Somebody connected and left without a word: the collector measures its round trip so, every second.
    if (error.code !== "ECONNRESET") onError(unauthorized(`mirror listener: ${error.message}`, error));
  });
  server.on("error", (error) =>
    onError(new MirrorError("io", `mirror listener: ${error.message}`, { cause: error })),
  );
  server.on("secureConnection", (socket: TLSSocket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    serveSocket(socket, { serve, allows }).catch(onError);
  });
  server.listen(port, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

async function serveSocket(
  socket: TLSSocket,
  { serve, allows }: { serve: (link: Link) => Promise<void>; allows: (name: string) => boolean },
): Promise<void> {
  // The reader of the frames reports what ends them; without a listener an early reset would end the process.
  socket.on("error", () => socket.destroy());
  try {
    await serve(linkOver(socket, allows));
  } finally {
    // Half a close first, so that a last refusal still arrives.
    socket.end(() => socket.destroy());
  }
}

function linkOver(socket: TLSSocket, allows: (name: string) => boolean): Link {
  const peer = String(socket.getPeerCertificate().subject?.CN ?? "");
  if (!allows(peer)) {
    socket.destroy();
    throw unauthorized(`"${peer}" may not carry mirror data`);
  }
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  return {
    peer,
    localHost: plainHost(socket.localAddress),
    remoteHost: plainHost(socket.remoteAddress),
    exportKeys: (context) =>
      socket.exportKeyingMaterial(EXPORTED_BYTES, EXPORTER_LABEL, Buffer.from(context)),
    send(frames) {
      if (socket.destroyed) return;
      socket.cork();
      for (const frame of frames) socket.write(frame);
      socket.uncork();
    },
    ready: () => socket.writableLength < SEND_BYTES_MAX,
    untilReady: () => untilReady(socket),
    untilAllowed: async () => undefined,
    onDrain: (listener) => void socket.on("drain", listener),
    frames: () => framesOf(socket),
    close: () => void socket.destroy(),
  };
}

/** An IPv4 peer of a socket that takes both has an address of both kinds. */
function plainHost(address: string | undefined): string {
  return (address ?? "").replace(/^::ffff:/, "");
}

function untilReady(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      socket.off("drain", settle).off("close", settle);
      if (socket.destroyed) reject(new MirrorError("unreachable", "connection closed"));
      else resolve();
    };
    if (socket.destroyed || socket.writableLength < SEND_BYTES_MAX) settle();
    else socket.on("drain", settle).on("close", settle);
  });
}

function framesOf(socket: TLSSocket): AsyncGenerator<Uint8Array> {
  return lentFrames(socket) ?? splitFrames(socket);
}

async function* splitFrames(socket: TLSSocket): AsyncGenerator<Uint8Array> {
  const splitter = frameSplitter();
  try {
    // Whoever stops reading may still have something to say: closing is not the reader's.
    const chunks = socket.iterator({ destroyOnReturn: false });
    for await (const chunk of chunks) yield* splitter.push(chunk as Buffer);
  } catch (cause) {
    if (cause instanceof MirrorError) throw cause;
    throw new MirrorError("unreachable", `connection lost: ${(cause as Error).message}`, { cause });
  }
}

function hostAndPort(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  const port = Number(address.slice(colon + 1));
  if (colon <= 0 || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new MirrorError("unreachable", `"${address}" is not host:port`);
  }
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ""), port };
}

function connectError(address: string, cause: unknown): MirrorError {
  if (cause instanceof MirrorError) return cause;
  const { code = "", message } = cause as NodeJS.ErrnoException;
  const isCertificate = /CERT|TLS|SSL|SELF_SIGNED|ALTNAME/.test(code);
  if (isCertificate) return unauthorized(`${address}: ${message}`, cause);
  return new MirrorError("unreachable", `${address}: ${message}`, { cause });
}

function unauthorized(message: string, cause?: unknown): MirrorError {
  return new MirrorError("unauthorized", message, { cause });
}
