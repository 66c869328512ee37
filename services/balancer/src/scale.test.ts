import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { linkOf, predictionOf, SPEC } from "./fixtures.ts";
import { SEED_LEAD_MAX_MS } from "./links.ts";
import { neededByBusy } from "./reactive.ts";
import {
  createTimeMs,
  holdPeaks,
  leadTimeMs,
  learnCreations,
  NO_SCALE,
  type Scale,
  scaleByForecast,
  shadowsFor,
} from "./scale.ts";

test("the wanted number is the most that was needed within the hold time", () => {
  const needs = fc.array(
    fc.record({ afterMs: fc.integer({ min: 0, max: 400 }), needed: fc.integer({ min: 0, max: 6 }) }),
    { minLength: 1 },
  );
  fc.assert(
    fc.property(needs, fc.integer({ min: 1, max: 2_000 }), (steps, holdMs) => {
      let scale: Scale = NO_SCALE;
      let nowMs = 0;
      const seen: { atMs: number; needed: number }[] = [];
      for (const { afterMs, needed } of steps) {
        nowMs += afterMs;
        seen.push({ atMs: nowMs, needed });
        scale = holdPeaks(scale, { needed, holdMs, nowMs });
        const recent = seen.filter(({ atMs }) => atMs === nowMs || nowMs - atMs < holdMs);
        assert.equal(scale.wanted, Math.max(...recent.map((one) => one.needed)));
      }
    }),
  );
});

test("so many shadows are enough, and one fewer is not", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 10_000, noNaN: true }),
      fc.integer({ min: 1, max: 500 }),
      (demandRps, instanceRps) => {
        const shadows = shadowsFor(demandRps, { instanceRps });
        const carries = (instances: number) => instances * instanceRps * 1.03 >= demandRps * (1 - 1e-9);
        assert.ok(carries(shadows + 1));
        if (shadows > 0) assert.ok(!carries(shadows * (1 - 1e-6)));
      },
    ),
  );
});

test("an unknown capacity asks for nothing", () => {
  assert.equal(shadowsFor(1_000, { instanceRps: 0 }), 0);
});

test("the lead time is the measured P90 of creations and the warm-up; each creation counts once", () => {
  assert.equal(leadTimeMs(NO_SCALE, SPEC, []), 4_000);
  const born = (name: string, tookMs: number) => ({
    name,
    incarnation: name,
    requestedAtMs: 1_000,
    readyAtMs: 1_000 + tookMs,
  });
  const of = (...shadows: ReturnType<typeof born>[]) => ({
    primary: "p",
    instances: [{ ...born("p", 0), requestedAtMs: 0, readyAtMs: 1_000 }, ...shadows],
  });
  const once = learnCreations(
    NO_SCALE,
    of(born("a", 900), born("b", 1_100), { ...born("c", 0), readyAtMs: 0 }),
  );
  const twice = learnCreations(once, of(born("a", 900), born("b", 1_100)));
  assert.equal(twice.creations.length, 2);
  assert.equal(Math.round(createTimeMs(twice, SPEC)), 1_000 + Math.round(1.9 * 100));
});

test("a first copy that is foreseen to be slow makes the lead time longer, never shorter, and not without end", () => {
  const seedMs = fc.double({ min: 0, max: 24 * 3600 * 1000, noNaN: true });
  const creations = fc.array(fc.integer({ min: 1, max: 60_000 }), { maxLength: 16 });
  fc.assert(
    fc.property(creations, fc.array(seedMs, { maxLength: 4 }), (tookMs, seeds) => {
      const known = tookMs.map((ms, index) => ({ incarnation: `${index}`, tookMs: ms }));
      const scale = { ...NO_SCALE, creations: known };
      const links = seeds.map((ms) => linkOf({ seedMs: ms }));
      const without = leadTimeMs(scale, SPEC, []);
      const leadMs = leadTimeMs(scale, SPEC, links);
      assert.ok(leadMs >= without && leadMs <= Math.max(without, SEED_LEAD_MAX_MS + SPEC.shadows.warmUpMs));
    }),
  );
  assert.equal(leadTimeMs(NO_SCALE, SPEC, [linkOf({ seedMs: 9_000 }), linkOf({ seedMs: 300 })]), 11_000);
});

test("one that was made in the worst of an overload does not make all that follow too early", () => {
  const creations = [5_100, 2_000, 2_100, 1_900, 2_200].map((tookMs, index) => ({
    incarnation: `${index}`,
    tookMs,
  }));
  const createMs = createTimeMs({ ...NO_SCALE, creations }, SPEC);
  assert.ok(createMs > 2_100 && createMs < 2_400, `${createMs}`);
});

test("a shadow that had to wait for its primary to start says nothing of how long a creation takes", () => {
  const together = { incarnation: "x", requestedAtMs: 1_000, readyAtMs: 4_000 };
  const instances = [
    { ...together, name: "p" },
    { ...together, name: "a" },
  ];
  assert.deepEqual(learnCreations(NO_SCALE, { primary: "p", instances }).creations, []);
  assert.deepEqual(learnCreations(NO_SCALE, { primary: "", instances }).creations, []);
});

const inputs = (more: object) => ({
  spec: SPEC,
  present: 3,
  prediction: undefined,
  observedRps: 320,
  instanceRps: 170,
  nowMs: 10_000,
  ...more,
});

test("a shadow is kept when a rise is near enough that it would have to be made again", () => {
  const three: Scale = { ...NO_SCALE, wanted: 3 };
  const rising = (ahead: Record<number, number>) => predictionOf(320, { sampledAtMs: 10_000, ahead });
  const inSixSeconds = rising({ 1000: 320, 6000: 620 });
  const inNineSeconds = rising({ 1000: 320, 9000: 620 });
  assert.equal(scaleByForecast(three, inputs({ prediction: inSixSeconds })).next.wanted, 3);
  assert.equal(scaleByForecast(three, inputs({ prediction: inNineSeconds })).next.wanted, 1);
  // Near enough to keep one is not near enough to make one.
  assert.equal(
    scaleByForecast({ ...NO_SCALE, wanted: 1 }, inputs({ prediction: inSixSeconds })).next.wanted,
    1,
  );
});

test("a forecast that falls lets nothing go while the demand is still there", () => {
  const falling = predictionOf(620, { sampledAtMs: 10_000, ahead: { 1000: 100, 4000: 100 } });
  assert.equal(
    scaleByForecast({ ...NO_SCALE, wanted: 3 }, inputs({ observedRps: 620, prediction: falling })).next
      .wanted,
    3,
  );
});

test("the reactive formula changes nothing within its tolerance", () => {
  assert.equal(neededByBusy({ busyPart: 0.84, serving: 2, wanted: 1 }, 0.8), 1);
  assert.equal(neededByBusy({ busyPart: 1, serving: 2, wanted: 1 }, 0.8), 2);
  assert.equal(neededByBusy({ busyPart: 0.4, serving: 3, wanted: 2 }, 0.8), 1);
  assert.equal(neededByBusy({ busyPart: 0, serving: 3, wanted: 2 }, 0.8), 0);
});

test("while no forecast is to be had nothing is let go, but not for ever", () => {
  const there: Scale = { ...NO_SCALE, wanted: 3, peaks: [{ atMs: 9_000, shadows: 3 }] };
  const blindAt = (nowMs: number) => scaleByForecast(there, inputs({ nowMs })).next.wanted;
  assert.equal(blindAt(10_000), 3);
  assert.equal(blindAt(38_900), 3);
  assert.equal(blindAt(39_000), 1);
});
