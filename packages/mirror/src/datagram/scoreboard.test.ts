import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AHEAD_MAX, arrivals } from "./runs.ts";
import { type ArrivalReport, scoreboard } from "./scoreboard.ts";

const SEED = 20_261_124;

function reportOf(seen: ReturnType<typeof arrivals>, atMs: number): ArrivalReport {
  return {
    floor: seen.floor,
    highest: seen.highest,
    runs: seen.runs(320),
    received: seen.count,
    disorder: seen.disorder,
    newestAtUs: atMs * 1000,
    delayUs: 0,
  };
}

test("runs say exactly which packets came", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(300), { minLength: 1 }), fc.nat(300), (packets, floor) => {
      const seen = arrivals();
      for (const packet of packets) {
        assert.equal(seen.add(packet), true);
        assert.equal(seen.add(packet), false, "counted twice");
      }
      seen.raiseFloor(floor);
      const told = new Set<number>();
      let [packet, present] = [seen.floor, true];
      for (const length of seen.runs(1_000)) {
        for (let each = packet; present && each < packet + length; each += 1) told.add(each);
        [packet, present] = [packet + length, !present];
      }
      assert.deepEqual(
        [...told].sort((a, b) => a - b),
        packets.filter((each) => each >= seen.floor).sort((a, b) => a - b),
      );
      assert.equal(seen.highest, Math.max(...packets));
    }),
    { seed: SEED },
  );
});

test("a number far ahead or below the floor is not remembered", () => {
  const seen = arrivals();
  assert.equal(seen.add(AHEAD_MAX), false);
  assert.equal(seen.add(5), true);
  seen.raiseFloor(4);
  assert.equal(seen.add(3), false);
});

test("each lost piece is named once, and nothing that arrived is", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 10, maxLength: 400 }), (fates) => {
      const board = scoreboard();
      const seen = arrivals();
      const lost: number[] = [];
      fates.forEach((arrives, piece) => {
        const packet = board.send(piece, piece);
        if (arrives) seen.add(packet);
        if (piece % 7 === 0 && seen.highest >= 0) {
          lost.push(...(board.hear(reportOf(seen, piece + 10), piece + 20)?.lost ?? []));
          seen.raiseFloor(board.floor);
        }
      });
      // A later arrival makes gaps at the end visible.
      for (let extra = 0; extra < 5; extra += 1) seen.add(board.send(1_000 + extra, fates.length));
      lost.push(...(board.hear(reportOf(seen, fates.length + 10), fates.length + 20)?.lost ?? []));
      assert.deepEqual(
        lost,
        fates.flatMap((arrives, piece) => (arrives ? [] : [piece])),
      );
      assert.equal(board.flying, 0);
    }),
    { seed: SEED },
  );
});

test("an old or impossible report changes nothing", () => {
  const board = scoreboard();
  const seen = arrivals();
  for (let piece = 0; piece < 10; piece += 1) seen.add(board.send(piece, piece));
  const older = reportOf(seen, 12);
  assert.equal(board.hear({ ...older, highest: 10 }, 20), undefined, "a packet never sent");
  seen.add(board.send(10, 15));
  assert.ok(board.hear(reportOf(seen, 30), 40));
  assert.equal(board.hear(older, 41), undefined);
});

test("the rate is what was delivered over the longer of sending and arriving", () => {
  const board = scoreboard();
  const seen = arrivals();
  let rate: number | undefined;
  // Ten packets a ms, reports every ms on a clock that started elsewhere, one way of 5 ms.
  for (let ms = 0; ms < 60; ms += 1) {
    for (let each = 0; each < 10; each += 1) board.send(ms * 10 + each, ms);
    if (ms < 10) continue;
    for (let each = 0; each < 10; each += 1) seen.add((ms - 10) * 10 + each);
    rate = board.hear(reportOf(seen, ms + 1_000), ms)?.rate ?? rate;
  }
  assert.ok(Math.abs(rate! - 10) < 0.2, `${rate}`);
});
