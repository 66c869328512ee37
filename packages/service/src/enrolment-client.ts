/**
 * The joining side. It trusts nothing but the fingerprint in its token: a first connection only looks at who is there, and
 * the secret goes out over a second one, verified against the authority that the first one showed and the token confirms.
 */

import { timingSafeEqual } from "node:crypto";
import { request } from "node:https";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { parseEndpoint } from "@understudy/model/endpoint";
import { z } from "zod";
import type { EnrolmentToken } from "./enrolment-token.ts";
import { PEER_NAME, requestCertificate, type TlsMaterial } from "./tls.ts";

const CONNECT_MS_MAX = 10_000;
const ANSWER_BYTES_MAX = 256 * 1024;
const CHAIN_MAX = 5;

export type EnrolmentErrorCode = "unreachable" | "impostor" | "refused" | "garbage";

export class EnrolmentError extends Error {
  readonly code: EnrolmentErrorCode;
  constructor(code: EnrolmentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EnrolmentError";
    this.code = code;
  }
}

export type Joined = {
  /** As the authority calls us. */
  readonly name: string;
  readonly tls: TlsMaterial;
  readonly told: Readonly<Record<string, string>>;
};

const joinedSchema = z.object({
  name: z.string(),
  cert: z.string(),
  ca: z.string(),
  told: z.record(z.string(), z.string()),
});

/** `address`: host:port. Throws EnrolmentError. */
export async function join(options: {
  readonly address: string;
  readonly token: EnrolmentToken;
  readonly name: string;
  /** What the authority's owner should know of this machine. */
  readonly about: Readonly<Record<string, string>>;
}): Promise<Joined> {
  const { address, token } = options;
  const ca = await findAuthority(address, token.fingerprint);
  const { key, request: csr } = await requestCertificate(options.name);
  const secret = token.secret.toString("base64url");
  const body = { secret, request: csr, about: options.about };
  const answer = joinedSchema.safeParse(await callEnrolment({ address, ca, path: "/v1/join", body }));
  if (!answer.success) throw new EnrolmentError("garbage", `${address} answers what we do not understand`);
  const { name, cert, told } = answer.data;
  return { name, tls: { ca, cert, key }, told };
}

/** One call over verified TLS; with `key` and `cert` as one who has joined. */
export function callEnrolment(options: {
  readonly address: string;
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
  readonly path: string;
  readonly body: unknown;
}): Promise<unknown> {
  const { address, path, body, ...tls } = options;
  const { host, port } = endpointOf(address);
  const text = JSON.stringify(body);
  const signal = AbortSignal.timeout(CONNECT_MS_MAX);
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  const asked = request(
    { ...tls, host, port, path, method: "POST", headers, agent: false, servername: PEER_NAME, signal },
    (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX) response.destroy(new Error("the answer is too long"));
        else chunks.push(chunk);
      });
      response.on("error", reject);
      response.on("end", () => {
        try {
          const value = JSON.parse(Buffer.concat(chunks).toString()) as { why?: unknown };
          if (response.statusCode === 200) resolve(value);
          else reject(new EnrolmentError("refused", `${address} refuses: ${String(value.why)}`));
        } catch (cause) {
          reject(new EnrolmentError("garbage", `${address} answers what we do not understand`, { cause }));
        }
      });
    },
  );
  asked.on("error", (error) => reject(unreachable(address, error)));
  asked.end(text);
  return promise;
}

/** The PEM of the authority that answers there, if its fingerprint is this one. */
function findAuthority(address: string, fingerprint: Buffer): Promise<string> {
  const { host, port } = endpointOf(address);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // Nothing is believed and nothing sent here: only the chain is looked at.
  const socket = connect({ host, port, servername: PEER_NAME, rejectUnauthorized: false });
  socket.setTimeout(CONNECT_MS_MAX, () => socket.destroy(new Error(`no answer in ${CONNECT_MS_MAX} ms`)));
  socket.once("error", (error) => reject(unreachable(address, error)));
  socket.once("secureConnect", () => {
    const root = rootWith(socket.getPeerCertificate(true), fingerprint);
    socket.destroy();
    if (root) return resolve(root);
    const text = `${address} is not who made this token (another authority answers): is the address right?`;
    reject(new EnrolmentError("impostor", text));
  });
  return promise;
}

function rootWith(leaf: DetailedPeerCertificate, fingerprint: Buffer): string | undefined {
  let each: DetailedPeerCertificate | undefined = leaf;
  for (let depth = 0; each?.raw && depth < CHAIN_MAX; depth += 1) {
    const theirs = Buffer.from(each.fingerprint256.replaceAll(":", ""), "hex");
    if (timingSafeEqual(theirs, fingerprint)) {
      const lines = each.raw.toString("base64").match(/.{1,64}/g)!;
      return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
    }
    if (each.issuerCertificate === each) return undefined;
    each = each.issuerCertificate;
  }
  return undefined;
}

function endpointOf(address: string): { host: string; port: number } {
  const endpoint = parseEndpoint(address);
  if (!endpoint) throw new EnrolmentError("unreachable", `"${address}" is not host:port`);
  return { ...endpoint, host: endpoint.host.replace(/^\[|\]$/g, "") };
}

function unreachable(address: string, cause: Error): EnrolmentError {
  if (cause instanceof EnrolmentError) return cause;
  return new EnrolmentError("unreachable", `${address} does not answer: ${cause.message}`, { cause });
}
