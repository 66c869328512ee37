import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { LinkForecast } from "@understudy/model/link-forecast";
import { LinkForecastSchema, type LinkForecast as WireLink } from "@understudy/wire/gen/link";
import fc from "fast-check";
import { linksFromWire, linkToWire } from "./link-forecast.ts";

const LINK: LinkForecast = {
  fromHost: "host-a",
  toHost: "host-b",
  levels: [0.5, 0.95],
  horizons: [
    { aheadMs: 1_000, roundTripMs: [1, 2], loss: [0, 0.1] },
    { aheadMs: 5_000, roundTripMs: [1, 3], loss: [0, 0.2] },
  ],
  bytesPerSecond: [],
  seedMs: 100,
};

const part = fc.double({ min: 0, max: 1, noNaN: true });
const anyLink = fc
  .tuple(fc.double({ min: 0, max: 60_000, noNaN: true }), part, part)
  .map(([roundTripMs, loss, seedMs]) => ({
    ...LINK,
    horizons: [{ aheadMs: 1_000, roundTripMs: [0, roundTripMs], loss: [0, loss] }],
    seedMs,
  }));

const wire = (link: LinkForecast) => create(LinkForecastSchema, linkToWire(link));

test("a forecast of a link comes out of its message as it went in", () => {
  fc.assert(
    fc.property(fc.array(anyLink, { maxLength: 5 }), fc.array(part, { maxLength: 1 }), (links, rate) => {
      const said = links.map((link) => ({ ...link, bytesPerSecond: rate.length ? [...rate, 1e9] : [] }));
      assert.deepEqual(linksFromWire(said.map(wire)), said);
    }),
  );
});

test("a forecast of a link that cannot be is refused with its reason", () => {
  const wrong: [(link: WireLink) => void, RegExp][] = [
    [(link) => (link.toHost = "a.>"), /host "a\.>" is not a DNS label/],
    [(link) => (link.fromHost = ""), /host "" is not a DNS label/],
    [(link) => (link.quantileLevels = []), /from host-a to host-b: no levels/],
    [(link) => link.quantileLevels.push(0.99), /2 quantiles of its round trip for 3 levels/],
    [(link) => (link.horizons[0]!.roundTripMs = [1, Number.NaN]), /a round trip of NaN cannot be/],
    [(link) => (link.horizons[0]!.roundTripMs = [-1, 1]), /a round trip of -1 cannot be/],
    [(link) => (link.horizons[1]!.roundTripMs = [1, Number.POSITIVE_INFINITY]), /a round trip of Infinity/],
    [(link) => (link.horizons[0]!.loss = [0, 1.01]), /a loss of 1\.01 cannot be/],
    [(link) => (link.horizons[0]!.loss = [0]), /1 quantiles of its loss for 2 levels/],
    [(link) => (link.bytesPerSecond = [0, Number.NaN]), /a rate of NaN cannot be/],
    [(link) => (link.seedMs = Number.NaN), /a first copy of NaN ms cannot be/],
    [(link) => (link.seedMs = 1e300), /a first copy of 1e\+300 ms cannot be/],
    [(link) => (link.horizons = Array(65).fill(link.horizons[0])), /65 horizons, at most 64/],
  ];
  for (const [change, reason] of wrong) {
    const link = wire(LINK);
    change(link);
    assert.throws(
      () => linksFromWire([link]),
      (error) => error instanceof RangeError && reason.test(error.message),
    );
  }
  assert.throws(() => linksFromWire(Array(65).fill(wire(LINK))), /65 links, at most 64/);
});
