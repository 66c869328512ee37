/** A sealed delta: the changes that lead from one exact version of a state to a later one, all or nothing. */

import type { Position } from "@understudy/model/position";
import type { Base, Change } from "./change.ts";
import { encodeFrame } from "./frames.ts";
import { packFrames } from "./packing.ts";

export type Delta = {
  readonly base: Base;
  readonly position: Position;
  /** Ready for the wire; shared by all shadows. */
  readonly frames: readonly Uint8Array[];
  readonly bytes: number;
};

export function baseOf(position: Position): Base {
  return { version: position.version, root: position.root };
}

export function sameBase(a: Base, b: Base): boolean {
  return a.version === b.version && a.root === b.root;
}

export function sealDelta({
  base,
  position,
  changes,
}: {
  base: Base;
  position: Position;
  changes: readonly Change[];
}): Delta {
  const frames = packFrames([
    encodeFrame({ type: "begin", epoch: position.epoch, base }),
    ...changes.map((change) => encodeFrame({ type: "change", change })),
    encodeFrame({ type: "end", position, changes: changes.length }),
  ]);
  return { base, position, frames, bytes: frames.reduce((sum, frame) => sum + frame.length, 0) };
}
