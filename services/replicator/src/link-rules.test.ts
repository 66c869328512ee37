import assert from "node:assert/strict";
import { test } from "node:test";
import type { LinkRules } from "@understudy/model/policy";
import { dscpOf, rateAt } from "./link-rules.ts";

const at = (hours: number, minutes = 0) => new Date(2026, 0, 15, hours, minutes);
const rules: LinkRules = {
  limitMbit: 100,
  schedule: [
    { from: "08:00", to: "18:00", limitMbit: 20 },
    { from: "22:30", to: "06:00", limitMbit: 400 },
  ],
};

test("the window that holds says the rate, else the general limit", () => {
  const rates = [at(7, 59), at(8), at(17, 59), at(18), at(22, 29), at(22, 30), at(0), at(5, 59), at(6)].map(
    (date) => rateAt(rules, date)! / 125_000,
  );
  assert.deepEqual(rates, [100, 20, 20, 100, 100, 400, 400, 400, 100]);
});

test("without a limit there is none outside the windows, and never without rules", () => {
  const { limitMbit: _, ...only } = rules;
  assert.equal(rateAt(only, at(20)), undefined);
  assert.equal(rateAt(only, at(12)), 20 * 125_000);
  assert.equal(rateAt(undefined, at(12)), undefined);
});

test("from and to alike is the whole day", () => {
  const whole: LinkRules = { schedule: [{ from: "12:00", to: "12:00", limitMbit: 8 }] };
  assert.deepEqual(
    [at(0), at(12), at(23)].map((date) => rateAt(whole, date)),
    [1e6, 1e6, 1e6],
  );
});

test("a resource's own code point goes first", () => {
  assert.equal(dscpOf({ dscp: 46, schedule: [] }, { dscp: 8, schedule: [] }), 46);
  assert.equal(dscpOf({ schedule: [] }, { dscp: 8, schedule: [] }), 8);
  assert.equal(dscpOf(undefined, undefined), undefined);
});
