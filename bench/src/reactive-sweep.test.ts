import assert from "node:assert/strict";
import { test } from "node:test";
import { choose } from "./reactive-sweep.ts";

const setting = (overloadSeconds: number, shadowSeconds: number) => ({
  target: 0.75,
  holdMs: 0,
  overloadSeconds,
  shadowSeconds,
});

test("the opponent is the least harmful one that may be paid for, the cheaper of two that harm alike", () => {
  const [cheap, dear, alike] = [setting(14, 279), setting(4, 336), setting(14, 275)];
  assert.equal(choose([cheap, dear, alike], 292), alike);
  assert.equal(choose([cheap, dear, alike], 400), dear);
  assert.equal(choose([cheap, dear], 100), dear);
});
