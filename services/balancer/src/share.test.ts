import assert from "node:assert/strict";
import { test } from "node:test";
import { PPM } from "@understudy/model/share";
import fc from "fast-check";
import { type Carrier, holdShares, type ShareInputs, shareReads, unshiftable } from "./share.ts";

const carrier = (name: string, capacityRps: number): Carrier => ({
  name,
  primary: name === "p",
  capacityRps,
});

/** Doubles would nearly always be next to nothing. */
const part = fc.integer({ min: 0, max: 100 }).map((hundredths) => hundredths / 100);

const anyInputs = fc
  .record({
    primaryRps: fc.integer({ min: 0, max: 500 }),
    shadowsRps: fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 5 }),
    demandRps: fc.integer({ min: 0, max: 3_000 }),
    movablePart: part,
    maxShadowShare: part,
    spread: fc.boolean(),
  })
  .map(({ primaryRps, shadowsRps, ...rest }): ShareInputs => {
    const shadows = shadowsRps.map((capacityRps, index) => carrier(`s${index}`, capacityRps));
    return { ...rest, carriers: [carrier("p", primaryRps), ...shadows] };
  });

const loadOf = ({ demandRps, movablePart }: ShareInputs, readPpm: number, primary: boolean) =>
  (readPpm / PPM) * demandRps * movablePart + (primary ? demandRps * (1 - movablePart) : 0);

test("shares add up to the whole, and who can carry nothing gets nothing", () => {
  fc.assert(
    fc.property(anyInputs, (inputs) => {
      const { readPpm } = shareReads(inputs);
      const total = readPpm.reduce((sum, ppm) => sum + ppm, 0);
      assert.equal(total, inputs.carriers.some(({ capacityRps }) => capacityRps > 0) ? PPM : 0);
      for (const [index, { capacityRps }] of inputs.carriers.entries())
        if (capacityRps === 0) assert.equal(readPpm[index], 0);
    }),
  );
});

test("shadows never get more than they may while the primary can carry anything", () => {
  fc.assert(
    fc.property(anyInputs, (inputs) => {
      fc.pre(inputs.carriers[0]!.capacityRps > 0);
      const { readPpm, shadowShare } = shareReads(inputs);
      assert.ok(shadowShare >= 0 && shadowShare <= inputs.maxShadowShare);
      assert.ok(PPM - readPpm[0]! <= inputs.maxShadowShare * PPM + 1);
    }),
  );
});

test("once reads are spread, every instance is loaded in proportion to its capacity", () => {
  fc.assert(
    fc.property(anyInputs, (inputs) => {
      const free = { ...inputs, spread: true, maxShadowShare: 1 };
      fc.pre(
        free.demandRps > 1 &&
          free.movablePart > 0.01 &&
          free.carriers[0]!.capacityRps > 0 &&
          free.carriers.slice(1).some((one) => one.capacityRps > 0),
      );
      const { readPpm, shadowShare } = shareReads(free);
      fc.pre(shadowShare > 0 && shadowShare < 1);
      const capacityRps = free.carriers.reduce((sum, one) => sum + one.capacityRps, 0);
      for (const [index, one] of free.carriers.entries()) {
        const alike = (free.demandRps * one.capacityRps) / capacityRps;
        assert.ok(Math.abs(loadOf(free, readPpm[index]!, one.primary) - alike) < 0.001 * free.demandRps);
      }
    }),
  );
});

test("spreading moves at least what must move, wherever there is room for it", () => {
  fc.assert(
    fc.property(anyInputs, (inputs) => {
      const free = { ...inputs, spread: true, maxShadowShare: 1 };
      const capacityRps = free.carriers.reduce((sum, one) => sum + one.capacityRps, 0);
      fc.pre(free.demandRps <= capacityRps && free.carriers.slice(1).some((one) => one.capacityRps > 0));
      const { shadowShare, neededShare } = shareReads(free);
      assert.ok(shadowShare >= neededShare - 1e-9);
    }),
  );
});

test("without need all reads stay at the primary", () => {
  const inputs = {
    carriers: [carrier("p", 170), carrier("s", 170)],
    demandRps: 100,
    movablePart: 0.9,
    maxShadowShare: 0.8,
    spread: false,
  };
  assert.deepEqual(shareReads(inputs).readPpm, [PPM, 0]);
});

test("what fits nowhere is what neither the primary nor the allowed share takes", () => {
  const carriers = [carrier("p", 100), carrier("s", 100)];
  assert.equal(unshiftable({ carriers, movablePart: 1 }, { demandRps: 150, share: 0.5 }), 0);
  assert.equal(unshiftable({ carriers, movablePart: 1 }, { demandRps: 300, share: 0.5 }), 100);
  assert.equal(unshiftable({ carriers, movablePart: 0 }, { demandRps: 150, share: 0.5 }), 50);
});

test("held shares keep their proportions among those that are left", () => {
  const before = new Map([
    ["p", 500_000],
    ["s1", 250_000],
    ["s2", 250_000],
  ]);
  assert.deepEqual(
    holdShares(before, [carrier("p", 1), carrier("s1", 1), carrier("s2", 0)]),
    [666_667, 333_333, 0],
  );
  assert.equal(holdShares(before, [carrier("s3", 1)]), undefined);
});
