/**
 * What protects the datagrams: AES-256-GCM over each block and each small datagram, and a tag over each data header.
 * All keys are exported from the TLS session (RFC 5705, RFC 8446 7.5) under a token that is new for every seed, one key
 * per direction and purpose; numbers are the nonces and none is used twice.
 *
 * Sealing blocks and not packets is three times faster. So that a forged packet still costs nothing, its header has a
 * Wegman-Carter tag ("New hash functions and their use in authentication and set equality", 1981): a linear form
 * modulo a prime, with coefficients from a key stream that no other packet uses. One forgery in 2^31 passes, and then
 * the seal of its block is found broken.
 */

import { createCipheriv, createDecipheriv } from "node:crypto";
import { type DataHeader, FRAGMENTS_MAX, GCM_TAG_BYTES, type SealedKind, sealedPrefix } from "./packets.ts";

export const EXPORTER_LABEL = "EXPORTER-understudy-seed";
const KEY_BYTES = 32;
const PRIME = 2 ** 31 - 1;
const STREAM_BYTES = 16;
const CHUNK_PACKETS = 1024;
/** As many as packet numbers can be outstanding, and some. */
const CHUNKS_MAX = 80;
const NONCE_BYTES = 12;
const BLOCK_NONCE = 0xff;

export const TOKEN_BYTES = 16;

export type DatagramKeys = {
  readonly blocks: Uint8Array;
  readonly headers: Uint8Array;
  readonly fromSender: Uint8Array;
  readonly fromReceiver: Uint8Array;
};

export const EXPORTED_BYTES = 4 * KEY_BYTES;

/** From `exportKeyingMaterial(EXPORTED_BYTES, EXPORTER_LABEL, token)`; both ends get the same. */
export function datagramKeys(material: Uint8Array): DatagramKeys {
  const key = (index: number) => material.slice(index * KEY_BYTES, (index + 1) * KEY_BYTES);
  return { blocks: key(0), headers: key(1), fromSender: key(2), fromReceiver: key(3) };
}

function nonceOf(kind: number, number: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce[0] = kind;
  nonce.writeUInt32LE(number, NONCE_BYTES - 4);
  return nonce;
}

export function sealBlock(keys: DatagramKeys, block: number, plain: Uint8Array): Buffer {
  const cipher = createCipheriv("aes-256-gcm", keys.blocks, nonceOf(BLOCK_NONCE, block));
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Undefined when it is not what the sender sealed. */
export function openBlock(keys: DatagramKeys, block: number, sealed: Uint8Array): Buffer | undefined {
  return open({ key: keys.blocks, nonce: nonceOf(BLOCK_NONCE, block), sealed });
}

export function sealSmall(
  key: Uint8Array,
  kind: SealedKind,
  { number, body }: { number: number; body: Uint8Array },
): Buffer {
  const prefix = sealedPrefix(kind, number);
  const cipher = createCipheriv("aes-256-gcm", key, nonceOf(prefix[0]!, number));
  cipher.setAAD(prefix);
  return Buffer.concat([prefix, cipher.update(body), cipher.final(), cipher.getAuthTag()]);
}

export function openSmall(
  key: Uint8Array,
  { kind, number, body }: { kind: SealedKind; number: number; body: Uint8Array },
): Buffer | undefined {
  const prefix = sealedPrefix(kind, number);
  return open({ key, nonce: nonceOf(prefix[0]!, number), sealed: body, prefix });
}

function open({
  key,
  nonce,
  sealed,
  prefix,
}: {
  key: Uint8Array;
  nonce: Buffer;
  sealed: Uint8Array;
  prefix?: Buffer;
}): Buffer | undefined {
  const end = sealed.length - GCM_TAG_BYTES;
  if (end < 0) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: GCM_TAG_BYTES });
  if (prefix) decipher.setAAD(prefix);
  decipher.setAuthTag(sealed.subarray(end));
  const plain = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
    return plain;
  } catch {
    return undefined;
  }
}

export interface HeaderTags {
  /** For a header with `length` bytes of payload behind it. */
  tag(header: Omit<DataHeader, "tag">, length: number): number;
}

export function headerTags(keys: DatagramKeys): HeaderTags {
  const chunks = new Map<number, Uint32Array>();

  /** Coefficients of 1,024 packets at a time: one call into the cipher for all of them. */
  function chunk(index: number): Uint32Array {
    const known = chunks.get(index);
    if (known) return known;
    const counter = Buffer.alloc(16);
    counter.writeUInt32BE(index * CHUNK_PACKETS, 12);
    const cipher = createCipheriv("aes-256-ctr", keys.headers, counter);
    const stream = Uint8Array.from(cipher.update(Buffer.alloc(CHUNK_PACKETS * STREAM_BYTES)));
    const words = new Uint32Array(stream.buffer).map((word) => word & PRIME);
    if (chunks.size >= CHUNKS_MAX) chunks.delete(chunks.keys().next().value!);
    chunks.set(index, words);
    return words;
  }

  return {
    tag({ packet, block, fragment, isLast }, length) {
      const words = chunk(Math.floor(packet / CHUNK_PACKETS));
      const at = (packet % CHUNK_PACKETS) * 4;
      // Each product stays below 2^50, so their sum is exact.
      return (
        (words[at]! +
          words[at + 1]! * (block & 0xffff) +
          words[at + 2]! * (block >>> 16) +
          words[at + 3]! * (length * 2 * FRAGMENTS_MAX + (isLast ? FRAGMENTS_MAX : 0) + fragment)) %
        PRIME
      );
    },
  };
}
