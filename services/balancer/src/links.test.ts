import assert from "node:assert/strict";
import { test } from "node:test";
import type { LinkForecast } from "@understudy/model/link-forecast";
import fc from "fast-check";
import { linkOf } from "./fixtures.ts";
import { LINK_LEAD_MAX_MS, linkLeadMs } from "./links.ts";

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
