/** Where in the history of a resource's state somebody stands. */

import { compareHlc, HLC_ZERO, type Hlc } from "./hlc.ts";

/** Fencing token: raised by each promotion, checked by every receiver. */
export type Epoch = number;
/** Gap-free counter of sealed deltas of one resource; goes on across epochs. */
export type Version = number;

export type Position = {
  readonly epoch: Epoch;
  readonly version: Version;
  readonly hlc: Hlc;
  /** Hash of the whole state at this version, 64 hex digits. */
  readonly root: string;
};

export const ROOT_EMPTY = "0".repeat(64);
export const POSITION_ZERO: Position = { epoch: 0, version: 0, hlc: HLC_ZERO, root: ROOT_EMPTY };

/** Orders by epoch, then version, then HLC. */
export function comparePositions(a: Position, b: Position): number {
  return a.epoch - b.epoch || a.version - b.version || compareHlc(a.hlc, b.hlc);
}
