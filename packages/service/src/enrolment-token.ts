/**
 * The one-time token by which a machine that has nothing yet becomes one of ours: where to ask, the fingerprint of the
 * authority it will find there (so that nobody in between can answer in its place), and a secret that proves it was
 * invited. One text without spaces, to be carried by hand.
 */

import { createHash, randomBytes, X509Certificate } from "node:crypto";

const PREFIX = "us1_";
const SECRET_BYTES = 16;
const FINGERPRINT_BYTES = 32;
const ADDRESS_BYTES_MAX = 260;

export type EnrolmentToken = {
  /** 16 random bytes. */
  readonly secret: Buffer;
  /** SHA-256 of the authority's certificate. */
  readonly fingerprint: Buffer;
  /** host:port at which the token is taken. The host may be empty: whoever passes it on knows it. */
  readonly address: string;
};

/** SHA-256 of an authority's certificate (PEM). */
export function fingerprintOf(pem: string): Buffer {
  return Buffer.from(new X509Certificate(pem).fingerprint256.replaceAll(":", ""), "hex");
}

export function newSecret(): Buffer {
  return randomBytes(SECRET_BYTES);
}

/** What is kept of a secret. It is random and long: nothing slower is needed against guessing. */
export function hashSecret(secret: Buffer): string {
  return createHash("sha256").update(secret).digest("hex");
}

export function formatToken({ secret, fingerprint, address }: EnrolmentToken): string {
  return PREFIX + Buffer.concat([secret, fingerprint, Buffer.from(address)]).toString("base64url");
}

/** Undefined when it is none of ours, or was cut off on its way. */
export function parseToken(text: string): EnrolmentToken | undefined {
  const trimmed = text.trim();
  if (!trimmed.startsWith(PREFIX) || !/^[\w-]+$/.test(trimmed)) return undefined;
  const bytes = Buffer.from(trimmed.slice(PREFIX.length), "base64url");
  const head = SECRET_BYTES + FINGERPRINT_BYTES;
  if (bytes.length <= head || bytes.length > head + ADDRESS_BYTES_MAX) return undefined;
  const address = bytes.subarray(head).toString();
  if (!/^(\[[0-9a-fA-F:]+\]|[\w.-]*):\d{1,5}$/.test(address)) return undefined;
  return {
    secret: bytes.subarray(0, SECRET_BYTES),
    fingerprint: bytes.subarray(SECRET_BYTES, head),
    address,
  };
}
