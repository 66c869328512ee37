/**
 * What demand the shares are made for: up at once, down slowly. Holding the *demand*, not the share, means that a shadow
 * that comes or goes changes the shares at once, while a lull of a second between two bursts changes nothing.
 */

export type Shift = {
  /** The demand that is held. */
  readonly heldRps: number;
  /** When demand was last near what is held. */
  readonly neededAtMs: number;
  readonly movedAtMs: number;
  /** Reads are spread over all instances; false: all to the primary. */
  readonly spread: boolean;
  /** When reads were spread, within the last minute. */
  readonly turns: readonly number[];
};

export const NO_SHIFT: Shift = { heldRps: 0, neededAtMs: 0, movedAtMs: 0, spread: false, turns: [] };

/** Demand this close to what is held still needs it. */
const NEAR = 0.95;
const RETURN_AFTER_MS = 2_000;
const RETURN_PER_SECOND = 0.1;
/** Reads go back to the primary only when it is well below its target. */
const RETURN_BELOW = 0.85;
const TURNS_WITHIN_MS = 60_000;
/** So many turns within a minute, and reads stay spread: a balancer that flaps does more harm than stale reads. */
export const TURNS_MAX = 2;

export function follow(
  shift: Shift,
  { demandRps, primaryRps, nowMs }: { demandRps: number; primaryRps: number; nowMs: number },
): Shift {
  const held = hold(shift, demandRps, nowMs);
  const turns = shift.turns.filter((atMs) => nowMs - atMs < TURNS_WITHIN_MS);
  if (held.heldRps > primaryRps)
    return { ...held, spread: true, turns: shift.spread ? turns : [...turns, nowMs] };
  const returns = shift.spread && held.heldRps < primaryRps * RETURN_BELOW && turns.length < TURNS_MAX;
  return { ...held, spread: shift.spread && !returns, turns };
}

function hold(shift: Shift, demandRps: number, nowMs: number): Shift {
  if (demandRps >= shift.heldRps)
    return { ...shift, heldRps: demandRps, neededAtMs: nowMs, movedAtMs: nowMs };
  if (demandRps >= shift.heldRps * NEAR) return { ...shift, neededAtMs: nowMs, movedAtMs: nowMs };
  if (nowMs - shift.neededAtMs < RETURN_AFTER_MS) return { ...shift, movedAtMs: nowMs };
  const seconds = Math.max(0, nowMs - shift.movedAtMs) / 1_000;
  const heldRps = Math.max(demandRps, shift.heldRps * (1 - RETURN_PER_SECOND * seconds));
  return { ...shift, heldRps, movedAtMs: nowMs };
}
