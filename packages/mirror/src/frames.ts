/**
 * The wire format: length-prefixed frames, each with the protocol version. Both ends of a mirror and the journal speak
 * it. Every decoder refuses what it does not understand, with the reason; nothing a peer sends is trusted for its length.
 *
 *   u32 length of what follows | u8 protocol version | u8 type | fields (bytes.ts)
 *
 * A session: hello -> welcome, [ask -> manifest... -> manifestEnd], then (begin change... end)* and heartbeats one way,
 * progress the other. Either side may refuse and close.
 */

import type { Epoch, Position } from "@understudy/model/position";
import { HASH_BYTES } from "./blocks.ts";
import { type ByteReader, type ByteWriter, byteReader, byteWriter } from "./bytes.ts";
import {
  type Base,
  type Change,
  decodeChange,
  decodeEntry,
  decodePosition,
  decodeRoot,
  encodeChange,
  encodeEntry,
  encodePosition,
  garbage,
  pathText,
  pick,
} from "./change.ts";
import { TOKEN_BYTES } from "./datagram/keys.ts";
import { MirrorError } from "./error.ts";
import type { Entry } from "./manifest.ts";

/** 2: hashes of 20 bytes, owners, copies, packed frames, positions said once; seeds over UDP are offered, answered and ended. */
export const PROTOCOL_VERSION = 2;
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** What a sender fills a frame with: large enough for speed, small enough to keep memory low. */
export const FRAME_BYTES_AIM = 1024 * 1024;
export const LENGTH_BYTES = 4;
const NAME_BYTES_MAX = 64;
const REASON_BYTES_MAX = 1024;

export type Refusal =
  | "stale-epoch"
  | "unknown-instance"
  | "wrong-incarnation"
  | "clock"
  | "bad-delta"
  | "busy"
  | "version";
const REFUSALS: readonly Refusal[] = [
  "stale-epoch",
  "unknown-instance",
  "wrong-incarnation",
  "clock",
  "bad-delta",
  "busy",
  "version",
];

export type Frame =
  | {
      readonly type: "hello";
      readonly resource: string;
      readonly instance: string;
      readonly incarnation: string;
      readonly position: Position;
    }
  | { readonly type: "welcome"; readonly durable: Position; readonly visible: Position }
  | { readonly type: "refuse"; readonly why: Refusal; readonly reason: string; readonly epoch: Epoch }
  | { readonly type: "ask" }
  /** An entry and its hashes from block `first` on; a long file takes several. */
  | {
      readonly type: "manifest";
      readonly path: string;
      readonly entry: Entry;
      readonly first: number;
      readonly hashes: Uint8Array;
    }
  | { readonly type: "manifestEnd"; readonly root: string }
  | { readonly type: "begin"; readonly epoch: Epoch; readonly base: Base }
  | { readonly type: "change"; readonly change: Change }
  | { readonly type: "end"; readonly position: Position; readonly changes: number }
  | { readonly type: "heartbeat"; readonly position: Position }
  | { readonly type: "progress"; readonly durable: Position; readonly visible: Position }
  /** Several whole frames, compressed; `length` bytes when unpacked (packing.ts). */
  | { readonly type: "packed"; readonly length: number; readonly data: Uint8Array }
  /** The seed could come over UDP; keys are exported from this TLS session under the token. */
  | { readonly type: "seedOffer"; readonly token: Uint8Array }
  /** The port to send it to; 0: not here. */
  | { readonly type: "seedAnswer"; readonly port: number }
  /** All that came or will come over UDP, in bytes; what follows on this link comes after it. */
  | { readonly type: "seedEnd"; readonly bytes: number };

const TYPES = [
  "hello",
  "welcome",
  "refuse",
  "ask",
  "manifest",
  "manifestEnd",
  "begin",
  "change",
  "end",
  "heartbeat",
  "progress",
  "packed",
  "seedOffer",
  "seedAnswer",
  "seedEnd",
] as const satisfies readonly Frame["type"][];

/** With its length prefix, ready to send. */
export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  return written(frame).finish();
}

/** The same bytes in pieces, to be sent one after the other: long contents are passed on as they are. */
export function encodeParts(frame: Frame): Uint8Array[] {
  return written(frame).parts();
}

function written(frame: Frame): ByteWriter {
  const body = byteWriter();
  body.u8(PROTOCOL_VERSION);
  body.u8(TYPES.indexOf(frame.type));
  encodeFields(body, frame);
  if (body.length > FRAME_BYTES_MAX) throw new RangeError(`${frame.type} frame of ${body.length} bytes`);
  const out = byteWriter();
  out.u32(body.length);
  for (const part of body.parts()) out.raw(part);
  return out;
}

function encodeFields(out: ByteWriter, frame: Frame): void {
  switch (frame.type) {
    case "hello":
      for (const name of [frame.resource, frame.instance, frame.incarnation]) out.text(name);
      encodePosition(out, frame.position);
      break;
    case "welcome":
    case "progress":
      encodePositions(out, frame);
      break;
    case "refuse":
      out.u8(REFUSALS.indexOf(frame.why));
      out.text(frame.reason.slice(0, REASON_BYTES_MAX / 4));
      out.u53(frame.epoch);
      break;
    case "ask":
      break;
    case "manifest":
      out.text(frame.path);
      encodeEntry(out, frame.entry);
      out.u32(frame.first);
      out.raw(frame.hashes);
      break;
    case "manifestEnd":
      out.raw(Buffer.from(frame.root, "hex"));
      break;
    case "begin":
      out.u53(frame.epoch);
      out.u53(frame.base.version);
      out.raw(Buffer.from(frame.base.root, "hex"));
      break;
    case "change":
      encodeChange(out, frame.change);
      break;
    case "end":
      encodePosition(out, frame.position);
      out.u32(frame.changes);
      break;
    case "heartbeat":
      encodePosition(out, frame.position);
      break;
    case "packed":
      out.u32(frame.length);
      out.raw(frame.data);
      break;
    case "seedOffer":
      out.raw(frame.token);
      break;
    case "seedAnswer":
      out.u16(frame.port);
      break;
    case "seedEnd":
      out.u53(frame.bytes);
      break;
  }
}

/** Of the bytes after the length prefix; without decoding them. */
export function isPacked(bytes: Uint8Array): boolean {
  return TYPES[bytes[1] ?? TYPES.length] === "packed";
}

/** Of the bytes after the length prefix. Throws MirrorError "garbage" with the reason. */
export function decodeFrame(bytes: Uint8Array): Frame {
  const from = byteReader(bytes);
  const version = from.u8();
  if (version !== PROTOCOL_VERSION)
    throw new MirrorError(
      "version",
      `the other end speaks protocol version ${version} and we ${PROTOCOL_VERSION}: run the same release on both`,
    );
  const frame = decodeFields(pick(TYPES, from.u8(), "frame type"), from);
  from.end();
  return frame;
}

function decodeFields(type: Frame["type"], from: ByteReader): Frame {
  switch (type) {
    case "hello": {
      const [resource, instance, incarnation] = [name(from), name(from), name(from)];
      return { type, resource, instance, incarnation, position: decodePosition(from) };
    }
    case "welcome":
    case "progress":
      return { type, ...decodePositions(from) };
    case "refuse":
      return {
        type,
        why: pick(REFUSALS, from.u8(), "refusal"),
        reason: from.text(REASON_BYTES_MAX),
        epoch: from.u53(),
      };
    case "ask":
      return { type };
    case "manifest":
      return decodeManifestPart(from);
    case "manifestEnd":
      return { type, root: decodeRoot(from) };
    case "begin":
      return { type, epoch: from.u53(), base: { version: from.u53(), root: decodeRoot(from) } };
    case "change":
      return { type, change: decodeChange(from) };
    case "end":
      return { type, position: decodePosition(from), changes: from.u32() };
    case "heartbeat":
      return { type, position: decodePosition(from) };
    case "packed":
      return { type, length: from.u32(), data: from.rest() };
    case "seedOffer":
      return { type, token: from.raw(TOKEN_BYTES) };
    case "seedAnswer":
      return { type, port: from.u16() };
    case "seedEnd":
      return { type, bytes: from.u53() };
  }
}

/** Most of the time they are the same: then it is said once, which halves what a quiet mirror costs. */
function encodePositions(
  out: ByteWriter,
  { durable, visible }: { durable: Position; visible: Position },
): void {
  const isSame = durable.root === visible.root && samePlace(durable, visible);
  out.u8(isSame ? 1 : 0);
  encodePosition(out, durable);
  if (!isSame) encodePosition(out, visible);
}

function samePlace(a: Position, b: Position): boolean {
  return (
    a.epoch === b.epoch &&
    a.version === b.version &&
    a.hlc.wallMs === b.hlc.wallMs &&
    a.hlc.counter === b.hlc.counter
  );
}

function decodePositions(from: ByteReader): { durable: Position; visible: Position } {
  const shape = from.u8();
  if (shape > 1) throw garbage(`positions of shape ${shape}`);
  const durable = decodePosition(from);
  return { durable, visible: shape === 1 ? durable : decodePosition(from) };
}

function decodeManifestPart(from: ByteReader): Frame {
  const [path, entry, first, hashes] = [pathText(from), decodeEntry(from), from.u32(), from.rest()];
  const count = entry.blockSize === 0 ? 0 : Math.ceil(entry.size / entry.blockSize);
  if (hashes.length % HASH_BYTES !== 0 || first + hashes.length / HASH_BYTES > count) {
    throw garbage(`${hashes.length} bytes of hashes from block ${first} of ${count}`);
  }
  return { type: "manifest", path, entry, first, hashes };
}

function name(from: ByteReader): string {
  return from.text(NAME_BYTES_MAX);
}
