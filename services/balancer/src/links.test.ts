import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { LinkForecastSchema, type LinkForecast as WireLink } from "@understudy/wire/gen/link";
import fc from "fast-check";
import { linkOf } from "./fixtures.ts";
import { LINK_LEAD_MAX_MS, type LinkForecast, linkLeadMs } from "./links.ts";
import { linksFromWire, linkToWire } from "./links-wire.ts";

const part = fc.double({ min: 0, max: 1, noNaN: true });
const anyLink = fc
  .record({ roundTripMs: fc.double({ min: 0, max: 60_000, noNaN: true }), loss: part, seedMs: part })
  .map(linkOf);

test("a link adds its round trip, and a timeout for each try that is expected to be lost", () => {
  assert.equal(linkLeadMs([], 1_000), 0);
  assert.equal(linkLeadMs([linkOf({ roundTripMs: 40 })], 1_000), 40);
  // One of five is lost: a quarter of a timeout of 200 ms for each that arrives.
  assert.equal(linkLeadMs([linkOf({ roundTripMs: 40, loss: 0.2 })], 1_000), 90);
  // The timeout is never shorter than the round trip.
  assert.equal(linkLeadMs([linkOf({ roundTripMs: 400, loss: 0.2 })], 1_000), 500);
});

test("the worst link counts, at its high quantile, as far as it is looked ahead", () => {
  assert.equal(linkLeadMs([linkOf({ roundTripMs: 10 }), linkOf({ roundTripMs: 70 })], 1_000), 70);
  const rising: LinkForecast = {
    ...linkOf({}),
    levels: [0.5, 0.95],
    horizons: [
      { aheadMs: 1_000, roundTripMs: [5, 30], loss: [0, 0] },
      { aheadMs: 5_000, roundTripMs: [5, 90], loss: [0, 0] },
    ],
  };
  assert.equal(linkLeadMs([rising], 1_000), 30);
  assert.equal(linkLeadMs([rising], 5_000), 90);
  // A first horizon beyond it is still the best there is.
  assert.equal(linkLeadMs([rising], 0), 30);
});

test("whatever the links are like, the lead time is not shorter than without, and longer by no more than its bound", () => {
  fc.assert(
    fc.property(fc.array(anyLink, { maxLength: 5 }), fc.nat(10_000), (links, withinMs) => {
      const addedMs = linkLeadMs(links, withinMs);
      assert.ok(addedMs >= 0 && addedMs <= LINK_LEAD_MAX_MS);
      for (const link of links) assert.ok(linkLeadMs([link], withinMs) <= addedMs);
    }),
  );
});

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
    const link = wire(linkOf({}));
    change(link);
    assert.throws(
      () => linksFromWire([link]),
      (error) => error instanceof RangeError && reason.test(error.message),
    );
  }
  assert.throws(() => linksFromWire(Array(65).fill(wire(linkOf({})))), /65 links, at most 64/);
});
