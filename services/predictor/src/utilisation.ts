/**
 * How full the serving instances will be. It follows from what is asked and from their curves, and is not forecast by itself:
 * an instance whose traffic was moved away looks idle, though nobody asks for less.
 */

import type { CapacityView } from "./capacity.ts";
import type { DemandAhead } from "./demand.ts";
import { isTelling, signalAt } from "./signal-curve.ts";

/**
 * Of each horizon, at the levels of its demand: the part of its limit in use of the signal that is the fullest, when the
 * serving instances share the demand evenly; above 1 when they cannot carry it. A quantile of the demand gives the same
 * quantile of it, because every curve rises. Empty while nothing is learnt or nobody serves.
 */
export function utilisationAhead(
  horizons: readonly DemandAhead[],
  { capacity, serving, target }: { capacity: CapacityView; serving: number; target: number },
): readonly (readonly number[])[] {
  const curves = capacity.curves.filter(isTelling);
  if (curves.length === 0 || serving === 0) return horizons.map(() => []);
  const fullest = (rps: number) =>
    curves.reduce((most, curve) => Math.max(most, signalAt(curve, rps) / (curve.target / target)), 0);
  return horizons.map(({ totalRps }) => totalRps.map((rps) => fullest(rps / serving)));
}
