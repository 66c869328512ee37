/**
 * Which share of the reads goes to the shadows, and how it is split among them.
 *
 * The primary must do what only it can do; what it cannot carry of the reads beside it must move:
 * `needed = (demand - capacity(primary)) / movable`. While nothing is needed, reads stay where they are freshest. Once
 * something is, moving only the needed part would keep the primary at its very target and the shadows idle: the first
 * burst would queue there. The shadows run anyway, so from then on every instance is loaded alike, in proportion to its
 * capacity. Alike is also the best that can be done when there is not enough for all.
 */

import { PPM, splitPpm } from "@understudy/model/share";

export type Carrier = { readonly name: string; readonly primary: boolean; readonly capacityRps: number };

export type ShareInputs = {
  readonly carriers: readonly Carrier[];
  /** What to be ready for, whole resource. */
  readonly demandRps: number;
  /** Part of the demand that any fresh instance may serve, 0..1. */
  readonly movablePart: number;
  /** 0..1 */
  readonly maxShadowShare: number;
  /** True: load all alike. False: all reads to the primary. */
  readonly spread: boolean;
};

export type Shares = {
  /** One per carrier, adding up to PPM; all zero when nobody can carry anything. */
  readonly readPpm: readonly number[];
  /** Of all reads, 0..1. */
  readonly shadowShare: number;
  /** The least that must move, 0..1. */
  readonly neededShare: number;
  readonly clipped: boolean;
};

export function shareReads(inputs: ShareInputs): Shares {
  const { carriers, demandRps } = inputs;
  const primaryRps = sumOf(carriers.filter((carrier) => carrier.primary));
  const shadowsRps = sumOf(carriers.filter((carrier) => !carrier.primary));
  const movableRps = demandRps * inputs.movablePart;
  const neededShare = movableRps > 0 ? clamp((demandRps - primaryRps) / movableRps, 1) : 0;
  if (primaryRps + shadowsRps <= 0) {
    return { readPpm: carriers.map(() => 0), shadowShare: 0, neededShare, clipped: false };
  }
  const { share, clipped } = shadowShare(inputs, { primaryRps, shadowsRps });
  const weights = carriers.map(({ primary, capacityRps }) =>
    primary ? 1 - share : share * (capacityRps / (shadowsRps || 1)),
  );
  return { readPpm: splitPpm(weights), shadowShare: share, neededShare, clipped };
}

function shadowShare(
  { demandRps, movablePart, maxShadowShare, spread }: ShareInputs,
  { primaryRps, shadowsRps }: { primaryRps: number; shadowsRps: number },
): { share: number; clipped: boolean } {
  if (shadowsRps <= 0) return { share: 0, clipped: false };
  // Without the primary the limit of the shadows' share would leave reads to nobody.
  if (primaryRps <= 0) return { share: 1, clipped: false };
  if (!spread) return { share: 0, clipped: false };
  const movableRps = demandRps * movablePart;
  const immovableRps = demandRps - movableRps;
  const primaryPart = (demandRps * primaryRps) / (primaryRps + shadowsRps);
  const alike =
    movableRps > 0 ? 1 - (primaryPart - immovableRps) / movableRps : shadowsRps / (primaryRps + shadowsRps);
  return { share: clamp(alike, maxShadowShare), clipped: alike > maxShadowShare };
}

/** What fits nowhere under this share: the primary is full, and so are the shadows, or no more may move. */
export function unshiftable(
  { carriers, movablePart }: Pick<ShareInputs, "carriers" | "movablePart">,
  { demandRps, share }: { demandRps: number; share: number },
): number {
  const primaryRps = sumOf(carriers.filter((carrier) => carrier.primary));
  const shadowsRps = sumOf(carriers.filter((carrier) => !carrier.primary));
  return Math.max(0, demandRps - primaryRps - Math.min(share * movablePart * demandRps, shadowsRps));
}

function sumOf(carriers: readonly Carrier[]): number {
  return carriers.reduce((sum, carrier) => sum + carrier.capacityRps, 0);
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 0), max);
}

/** Shares of an earlier plan among those that may still serve; undefined when none of them may. */
export function holdShares(
  before: ReadonlyMap<string, number>,
  carriers: readonly Carrier[],
): readonly number[] | undefined {
  const kept = carriers.map(({ name, capacityRps }) => (capacityRps > 0 ? (before.get(name) ?? 0) : 0));
  return kept.some((ppm) => ppm > 0) ? splitPpm(kept) : undefined;
}

/** Largest difference of any instance's share, ppm; infinite when the instances differ. */
export function shareDistance(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  if (a.size !== b.size || [...a.keys()].some((name) => !b.has(name))) return Number.POSITIVE_INFINITY;
  return Math.max(0, ...[...a].map(([name, ppm]) => Math.abs(ppm - b.get(name)!)));
}

/** A change below this many ppm is not worth a new plan: a point and a half. */
export const DEADBAND_PPM = Math.round(0.015 * PPM);
