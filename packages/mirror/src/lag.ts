/** How far behind a shadow is: in time, versions and bytes, from when each version was sealed. Reads no clock. */

import type { Version } from "@understudy/model/position";

/** Older ones are forgotten; a shadow that far behind is at least as late as the oldest kept. */
const SEALS_MAX = 16_384;
/** Acknowledgements answer heartbeats; when none came for this long, a shadow is as late as its silence is long. */
export const SILENCE_MS = 1_000;

type Seal = { readonly version: Version; readonly atMs: number; readonly bytesBefore: number };

export type Lag = { readonly lagMs: number; readonly lagVersions: number; readonly lagBytes: number };

export interface SealLog {
  add(version: Version, seal: { atMs: number; bytes: number }): void;
  /** `heardAtMs`: when the shadow last said where it stands. */
  lagOf(visible: Version, times: { nowMs: number; heardAtMs: number }): Lag;
}

export function sealLog(sealsMax = SEALS_MAX): SealLog {
  let seals: Seal[] = [];
  let bytesTotal = 0;
  let newest = 0;
  return {
    add(version, { atMs, bytes }) {
      seals.push({ version, atMs, bytesBefore: bytesTotal });
      bytesTotal += bytes;
      newest = version;
      if (seals.length >= sealsMax * 2) seals = seals.slice(-sealsMax);
    },
    lagOf(visible, { nowMs, heardAtMs }) {
      const silentMs = nowMs - heardAtMs;
      const quiet = silentMs > SILENCE_MS ? silentMs : 0;
      const first = seals[0];
      if (visible >= newest || !first) return { lagMs: quiet, lagVersions: 0, lagBytes: 0 };
      const oldest = seals[Math.max(0, visible + 1 - first.version)] ?? first;
      return {
        lagMs: Math.max(quiet, nowMs - oldest.atMs),
        lagVersions: newest - visible,
        lagBytes: bytesTotal - oldest.bytesBefore,
      };
    },
  };
}
