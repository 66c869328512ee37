import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseEndpoint } from "./endpoint.ts";
import { compareHlc, type Hlc, mergeHlc, tickHlc } from "./hlc.ts";
import { asLabel, isLabel } from "./names.ts";
import { comparePositions, POSITION_ZERO } from "./position.ts";
import { PPM, splitPpm } from "./share.ts";

const wallMs = fc.integer({ min: 0, max: 2 ** 45 });
const hlc: fc.Arbitrary<Hlc> = fc.record({ wallMs, counter: fc.integer({ min: 0, max: 0xffff_ffff }) });

describe("hybrid logical clock", () => {
  test("a tick is always later than what it follows, whatever the wall clock does", () => {
    fc.assert(fc.property(hlc, wallMs, (last, now) => compareHlc(tickHlc(last, now), last) > 0));
  });

  test("a merge is later than both, and never ahead of the wall clock by more than the drift allowed", () => {
    fc.assert(
      fc.property(hlc, hlc, wallMs, (last, seen, nowMs) => {
        const merged = mergeHlc(last, seen, { nowMs, driftMaxMs: 1_000 });
        if (!merged.accepted) return merged.aheadMs > 1_000;
        return compareHlc(merged.hlc, last) > 0 && compareHlc(merged.hlc, seen) > 0;
      }),
    );
  });

  test("a full counter carries into the wall time", () => {
    assert.deepEqual(tickHlc({ wallMs: 5, counter: 0xffff_ffff }, 5), { wallMs: 6, counter: 0 });
  });
});

describe("positions", () => {
  test("order by epoch before version", () => {
    const old = { ...POSITION_ZERO, epoch: 1, version: 900 };
    const young = { ...POSITION_ZERO, epoch: 2, version: 3 };
    assert.ok(comparePositions(old, young) < 0);
  });
});

describe("shares", () => {
  test("parts add up to a million exactly, for any weights", () => {
    const weights = fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 50 });
    fc.assert(fc.property(weights, (list) => splitPpm(list).reduce((sum, part) => sum + part, 0) === PPM));
  });

  test("a part differs from its exact share by less than one", () => {
    const weights = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(weights, (list) => {
        const total = list.reduce((sum, weight) => sum + weight, 0);
        return splitPpm(list).every((part, index) => Math.abs(part - (list[index]! / total) * PPM) < 1.001);
      }),
    );
  });

  test("nothing to go by: the first gets everything; no targets: no parts", () => {
    assert.deepEqual(splitPpm([0, 0]), [PPM, 0]);
    assert.deepEqual(splitPpm([]), []);
  });
});

describe("names", () => {
  test("DNS labels only", () => {
    for (const good of ["a", "catalog-1", "9", "a".repeat(63)]) assert.ok(isLabel(good));
    for (const bad of ["", "-a", "a-", "A", "a.b", "a_b", "a*", ">", "a".repeat(64)])
      assert.ok(!isLabel(bad));
    assert.throws(() => asLabel("No", "pool"), /pool "No" is not a DNS label/);
  });
});

describe("endpoints", () => {
  test("take host:port, IPv6 in brackets", () => {
    assert.deepEqual(parseEndpoint("127.0.0.1:80"), { host: "127.0.0.1", port: 80 });
    assert.deepEqual(parseEndpoint("edge-a.lan:0"), { host: "edge-a.lan", port: 0 });
    assert.deepEqual(parseEndpoint("[::1]:443"), { host: "[::1]", port: 443 });
  });

  test("take nothing that would mean more inside a URL, and no port that is none", () => {
    for (const bad of ["", "host", "host:", "host:99999", "a:b:1", ":80", "user@host:1", "host/x:1", "a b:1"])
      assert.equal(parseEndpoint(bad), undefined, bad);
  });
});
