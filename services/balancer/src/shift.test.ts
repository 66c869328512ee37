import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { follow, NO_SHIFT, type Shift, TURNS_MAX } from "./shift.ts";

const STEP_MS = 100;

function run(shift: Shift, demandRps: number, { fromMs, forMs }: { fromMs: number; forMs: number }): Shift {
  let next = shift;
  for (let nowMs = fromMs; nowMs < fromMs + forMs; nowMs += STEP_MS)
    next = follow(next, { demandRps, primaryRps: 170, nowMs });
  return next;
}

test("demand is followed up at once and down slowly", () => {
  const high = run(NO_SHIFT, 600, { fromMs: 0, forMs: 100 });
  assert.equal(high.heldRps, 600);
  assert.equal(run(high, 100, { fromMs: 100, forMs: 1_500 }).heldRps, 600);
  const later = run(high, 100, { fromMs: 100, forMs: 6_000 }).heldRps;
  assert.ok(later > 350 && later < 450, `${later}`);
});

test("what is held is never below the demand nor above the highest there was", () => {
  const demands = fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(demands, (values) => {
      let shift = NO_SHIFT;
      for (const [index, demandRps] of values.entries()) {
        shift = follow(shift, { demandRps, primaryRps: 170, nowMs: index * STEP_MS });
        assert.ok(shift.heldRps >= demandRps && shift.heldRps <= Math.max(...values));
        if (demandRps > 170) assert.ok(shift.spread);
      }
    }),
  );
});

test("reads return only well below the primary's target", () => {
  const spread = run(NO_SHIFT, 200, { fromMs: 0, forMs: 100 });
  assert.equal(run(spread, 160, { fromMs: 100, forMs: 30_000 }).spread, true);
  assert.equal(run(spread, 100, { fromMs: 100, forMs: 30_000 }).spread, false);
});

test("who has turned too often within a minute stays spread", () => {
  let shift = NO_SHIFT;
  let nowMs = 0;
  for (let turn = 0; turn < TURNS_MAX; turn += 1) {
    shift = run(shift, 200, { fromMs: nowMs, forMs: 200 });
    shift = run(shift, 10, { fromMs: nowMs + 200, forMs: 9_800 });
    nowMs += 10_000;
  }
  assert.equal(shift.spread, true);
  assert.equal(run(shift, 10, { fromMs: nowMs, forMs: 60_000 }).spread, false);
});
