/** The newest deltas of a primary, for shadows that are a little behind. What has left it is found by hashes instead. */

import type { Base } from "./change.ts";
import { type Delta, sameBase } from "./delta.ts";

const DELTAS_MAX = 512;
const BYTES_MAX = 32 * 1024 * 1024;

export interface DeltaRing {
  push(delta: Delta): void;
  /** A version was sealed whose delta is not kept: no shadow can be led past it from here. */
  clear(): void;
  /** The delta that may be applied to this base. */
  after(base: Base): Delta | undefined;
}

export function deltaRing({ deltasMax = DELTAS_MAX, bytesMax = BYTES_MAX } = {}): DeltaRing {
  let deltas: Delta[] = [];
  let bytes = 0;
  return {
    push(delta) {
      deltas.push(delta);
      bytes += delta.bytes;
      while (deltas.length > deltasMax || bytes > bytesMax) bytes -= deltas.shift()!.bytes;
    },
    clear() {
      deltas = [];
      bytes = 0;
    },
    after(base) {
      // Versions are gap-free, so the place follows from the number.
      const first = deltas[0]?.base.version ?? 0;
      const delta = deltas[base.version - first];
      return delta && sameBase(delta.base, base) ? delta : undefined;
    },
  };
}
