/**
 * Where machines become ours: HTTPS under a certificate of the authority. Without a certificate there is one thing to be
 * had, `POST /v1/join` with a token's secret and a certificate request; with one, whatever else the owner serves here.
 */

import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { z } from "zod";
import { countAttempts } from "./attempts.ts";
import { type CertificateAuthority, signRequest, type TlsMaterial } from "./tls.ts";

const BODY_BYTES_MAX = 64 * 1024;
const REQUEST_MS_MAX = 10_000;
const CONNECTIONS_MAX = 64;

const joinSchema = z.strictObject({
  secret: z.base64url().max(64),
  request: z.string().max(8_192),
  about: z.record(z.string(), z.string().max(300)).default({}),
});

/** Who may join: the name its certificate will carry, and what it is told besides. A refusal says why. */
export type Admission =
  | { readonly admitted: true; readonly name: string; readonly told: Readonly<Record<string, string>> }
  | { readonly admitted: false; readonly why: string };

export type EnrolmentOptions = {
  readonly host: string;
  readonly port: number;
  /** Asked for at the first request: loading it takes a while. */
  readonly authority: () => Promise<CertificateAuthority>;
  /** Of that authority. */
  readonly tls: TlsMaterial;
  readonly nowMs: () => number;
  /** Uses the secret up, whatever comes of it. `about` is what the machine says of itself. */
  readonly admit: (secret: Buffer, about: Readonly<Record<string, string>>) => Admission;
  /** Further calls, for holders of a certificate only: path -> what it answers. Throw RefusedError to refuse. */
  readonly calls?: Readonly<Record<string, (body: unknown, peer: string) => Promise<unknown>>>;
  readonly onError: (error: Error) => void;
};

/** Said to the caller as it is; everything else is only logged. */
export class RefusedError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.name = "RefusedError";
    this.status = status;
  }
}

export type EnrolmentServer = { readonly port: number; close(): Promise<void> };

export async function serveEnrolment(options: EnrolmentOptions): Promise<EnrolmentServer> {
  const { tls } = options;
  const attempts = countAttempts();
  const server = createServer(
    {
      key: tls.key,
      // With the authority's own certificate: who has only its fingerprint must find it in the chain.
      cert: `${tls.cert}\n${tls.ca}`,
      ca: tls.ca,
      minVersion: "TLSv1.3",
      requestCert: true,
      rejectUnauthorized: false,
      requestTimeout: REQUEST_MS_MAX,
      headersTimeout: REQUEST_MS_MAX,
    },
    async (request, response) => {
      const socket = request.socket as TLSSocket;
      const answer = (status: number, value: unknown) => {
        response.writeHead(status, { "content-type": "application/json", connection: "close" });
        response.end(JSON.stringify(value));
      };
      try {
        if (request.method !== "POST") throw new RefusedError(404, "nothing is here");
        const body = await readJson(request);
        const path = request.url ?? "";
        if (path === "/v1/join") {
          const from = socket.remoteAddress ?? "";
          return answer(200, await join(options, attempts, { body, from }));
        }
        const call = options.calls?.[path];
        if (!call) throw new RefusedError(404, `${path} is not served here`);
        if (!socket.authorized)
          throw new RefusedError(403, "a certificate of this authority is needed: join");
        answer(200, await call(body, String(socket.getPeerCertificate().subject?.CN ?? "")));
      } catch (error) {
        if (!(error instanceof RefusedError)) options.onError(error as Error);
        if (response.headersSent) return response.destroy();
        if (error instanceof RefusedError) return answer(error.status, { why: error.message });
        answer(500, { why: "it went wrong here; its log says how" });
      }
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.on("tlsClientError", () => undefined);
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function join(
  { authority, admit, nowMs, tls }: EnrolmentOptions,
  attempts: ReturnType<typeof countAttempts>,
  { body, from }: { body: unknown; from: string },
): Promise<unknown> {
  if (!attempts.allowed(from, nowMs()))
    throw new RefusedError(429, "too many failed attempts: wait a minute");
  const parsed = joinSchema.safeParse(body);
  if (!parsed.success) throw new RefusedError(400, "not a request to join");
  const { secret, request, about } = parsed.data;
  const admission = admit(Buffer.from(secret, "base64url"), about);
  if (!admission.admitted) {
    attempts.failed(from, nowMs());
    throw new RefusedError(403, admission.why);
  }
  const { name, told } = admission;
  const cert = await signRequest(await authority(), { name, request }).catch(() => {
    throw new RefusedError(400, "the certificate request cannot be used; the token is used up");
  });
  return { name, cert, ca: tls.ca, told };
}

async function readJson(request: AsyncIterable<Buffer>): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new RefusedError(413, `more than ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new RefusedError(400, "not JSON");
  }
}

function listen(server: Server, { host, port }: EnrolmentOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
