import assert from "node:assert/strict";
import { test } from "node:test";
import { RateReader } from "./rates.ts";

/** Rates of a counter that is read every 100 ms. */
function ratesOf(values: readonly number[], windowMs: number): number[] {
  let before = new RateReader(new Map()).next();
  return values.map((value, tick) => {
    const reader = new RateReader(before);
    const rate = reader.perSecond("k", { value, atMs: tick * 100, doubtMs: 0 }, windowMs);
    before = reader.next();
    return rate;
  });
}

test("without a window a rate follows the last two readings alone, however long the counter has been known", () => {
  const quietThenBusy = [...Array.from({ length: 30 }, () => 0), 10, 20, 30];
  assert.deepEqual(ratesOf(quietThenBusy, 0).slice(-4), [0, 100, 100, 100]);
});

test("a window averages over as much as it covers and no more", () => {
  const steps = [0, 0, 0, 0, 0, 0, 10, 20, 30, 30, 30, 30, 30, 30];
  assert.deepEqual(ratesOf(steps, 300).slice(5), [0, 10 / 0.3, 20 / 0.3, 100, 20 / 0.3, 10 / 0.3, 0, 0, 0]);
});

test("a counter that was reset gives no rate, never a spike", () => {
  assert.deepEqual(ratesOf([100, 110, 5, 15], 0), [Number.NaN, 100, Number.NaN, 100]);
});

test("an answer that waited for us while we stood still gives no rate; the next one is right again", () => {
  // 600 requests per second; the answer of 100 ms was only looked at at 600 ms, the next one is asked for at once.
  const readings = [
    { atMs: 0, doubtMs: 0.5, value: 0 },
    { atMs: 350, doubtMs: 250, value: 60 },
    { atMs: 610, doubtMs: 0.5, value: 366 },
    { atMs: 700, doubtMs: 0.5, value: 420 },
  ];
  let before = new RateReader(new Map()).next();
  const rates = readings.map((reading) => {
    const reader = new RateReader(before);
    const rate = reader.perSecond("k", reading);
    before = reader.next();
    return rate;
  });
  assert.deepEqual(rates, [Number.NaN, Number.NaN, 600, 600]);
});
