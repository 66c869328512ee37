/**
 * Where HAProxy's runtime API is: a Unix socket beside us, or `tls://host:port` across a network. Whoever reaches it rules
 * the traffic and HAProxy asks for no password, so across a network there is nothing but mTLS: both sides have a
 * certificate of our authority, and HAProxy's is the one that stands for a service of ours.
 */

import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Endpoint, parseEndpoint } from "@understudy/model/endpoint";
import { DriverError } from "../driver.ts";

const TLS_SCHEME = "tls://";

/** PEM texts of our own certificate, and the name that HAProxy's must carry. */
export type RuntimeTls = {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly peerName: string;
};

/** Undefined for the path of a Unix socket; throws a RangeError when what follows `tls://` is not host:port. */
export function remoteOf(socket: string): Endpoint | undefined {
  if (!socket.startsWith(TLS_SCHEME)) return undefined;
  const endpoint = parseEndpoint(socket.slice(TLS_SCHEME.length));
  if (!endpoint) throw new RangeError(`"${socket}" is not ${TLS_SCHEME}host:port`);
  return endpoint;
}

/** What opens connections to it. Throws DriverError "refused" when it is across a network and there is no certificate. */
export function runtimeConnector(socket: string, tls: RuntimeTls | undefined): () => Socket {
  const remote = remoteOf(socket);
  if (!remote) return () => connect(socket);
  if (!tls) throw new DriverError("refused", `haproxy at ${socket}: no certificate to reach it with`);
  const { ca, cert, key, peerName } = tls;
  const host = remote.host.replace(/^\[|\]$/g, "");
  return () => connectTls({ host, port: remote.port, ca, cert, key, servername: peerName }).setNoDelay();
}
