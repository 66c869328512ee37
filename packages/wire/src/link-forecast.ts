/** Forecasts of links between the domain's words and the wire's. What comes in and cannot be is refused with a RangeError. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { LinkForecast } from "@understudy/model/link-forecast";
import { asLabel } from "@understudy/model/names";
import type { LinkForecastSchema, LinkForecast as WireLink } from "@understudy/wire/gen/link";

/** Of one resource; it has tens of instances, on fewer hosts. */
const LINKS_MAX = 64;
const HORIZONS_MAX = 64;
const ROUND_TRIP_MAX_MS = 3_600_000;
const RATE_MAX = 1e15;
const SEED_MAX_MS = 24 * 3600 * 1000;

export function linksFromWire(links: readonly WireLink[]): readonly LinkForecast[] {
  if (links.length > LINKS_MAX) throw new RangeError(`${links.length} links, at most ${LINKS_MAX}`);
  return links.map(linkFromWire);
}

function linkFromWire({ fromHost, toHost, quantileLevels: levels, seedMs, ...wire }: WireLink): LinkForecast {
  const name = `link from ${asLabel(fromHost, "host")} to ${asLabel(toHost, "host")}`;
  if (wire.horizons.length > HORIZONS_MAX)
    throw new RangeError(`${name}: ${wire.horizons.length} horizons, at most ${HORIZONS_MAX}`);
  const checked = (what: string, values: readonly number[], most: number): readonly number[] => {
    if (values.length !== levels.length)
      throw new RangeError(`${name}: ${values.length} quantiles of its ${what} for ${levels.length} levels`);
    const bad = values.find((value) => !(value >= 0 && value <= most));
    if (bad !== undefined) throw new RangeError(`${name}: a ${what} of ${bad} cannot be`);
    return values;
  };
  if (levels.length === 0) throw new RangeError(`${name}: no levels`);
  if (!(seedMs >= 0 && seedMs <= SEED_MAX_MS))
    throw new RangeError(`${name}: a first copy of ${seedMs} ms cannot be`);
  return {
    fromHost,
    toHost,
    levels,
    horizons: wire.horizons.map(({ aheadMs, roundTripMs, loss }) => ({
      aheadMs,
      roundTripMs: checked("round trip", roundTripMs, ROUND_TRIP_MAX_MS),
      loss: checked("loss", loss, 1),
    })),
    bytesPerSecond: wire.bytesPerSecond.length === 0 ? [] : checked("rate", wire.bytesPerSecond, RATE_MAX),
    seedMs,
  };
}

export function linkToWire(link: LinkForecast): MessageInitShape<typeof LinkForecastSchema> {
  const { fromHost, toHost, levels, horizons, bytesPerSecond, seedMs } = link;
  return {
    fromHost,
    toHost,
    quantileLevels: [...levels],
    horizons: horizons.map(({ aheadMs, roundTripMs, loss }) => ({
      aheadMs,
      roundTripMs: [...roundTripMs],
      loss: [...loss],
    })),
    bytesPerSecond: [...bytesPerSecond],
    seedMs,
  };
}
