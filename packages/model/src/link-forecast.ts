/** What the link from a primary's host to one that keeps shadows will be like, by quantiles. */

export type LinkForecast = {
  readonly fromHost: string;
  readonly toHost: string;
  readonly levels: readonly number[];
  readonly horizons: readonly LinkHorizon[];
  /** Of the next copy of a state; empty: not measured. */
  readonly bytesPerSecond: readonly number[];
  /** How long a first copy of the state takes at the lowest of these; 0: not known. */
  readonly seedMs: number;
};

/** One value per level of `LinkForecast.levels`. */
export type LinkHorizon = {
  readonly aheadMs: number;
  readonly roundTripMs: readonly number[];
  /** 0..1 */
  readonly loss: readonly number[];
};
