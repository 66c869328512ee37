import assert from "node:assert/strict";
import { test } from "node:test";
import type { ShadowProgress } from "@understudy/mirror/engine";
import { POSITION_ZERO } from "@understudy/model/position";
import fc from "fast-check";
import { parseDscp, parseListen, parseRate, parseRemote } from "./place.ts";
import { bytesText, durationText, renderBar, renderLine, type Seen, see } from "./progress.ts";

function progress(fields: Partial<ShadowProgress>): ShadowProgress {
  return {
    instance: "one",
    incarnation: "i1",
    transport: "tls",
    phase: "seeding",
    durable: POSITION_ZERO,
    visible: POSITION_ZERO,
    lagMs: 0,
    lagVersions: 0,
    lagBytes: 0,
    seedBytes: 0,
    deltaBytes: 0,
    seedDoneBytes: 0,
    seedTotalBytes: 1_000_000,
    ...fields,
  };
}

test("a copy at a steady rate says the rate and the time left", () => {
  let seen: Seen | undefined;
  for (let step = 0; step <= 50; step += 1)
    seen = see(seen, progress({ seedDoneBytes: step * 10_000 }), step * 100);
  assert.equal(Math.round(seen!.rate), 100_000);
  assert.equal(Math.round(seen!.etaMs!), 5_000);
  assert.equal(renderLine(seen!), "copying: 50 %, 500.0 KB of 1.00 MB, 100.0 KB/s, 5 s left");
  assert.match(renderBar(seen!, 100), /^\[#{12}-{12}\] copying/);
});

test("a copy that starts over has no rate yet", () => {
  const before = see(undefined, progress({ seedDoneBytes: 900_000 }), 0);
  const after = see(before, progress({ seedDoneBytes: 0 }), 100);
  assert.equal(after.rate, 0);
  assert.equal(after.etaMs, undefined);
});

test("a bar never is longer than its terminal", () => {
  const phases = fc.constantFrom("connecting", "seeding", "live", "disconnected") as fc.Arbitrary<
    ShadowProgress["phase"]
  >;
  const bytes = fc.nat({ max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(phases, bytes, bytes, fc.integer({ min: 10, max: 200 }), (phase, done, total, columns) => {
      const seen = see(undefined, progress({ phase, seedDoneBytes: done, seedTotalBytes: total }), 0);
      assert.ok(renderBar({ ...seen, rate: done, etaMs: total }, columns).length <= columns);
    }),
    { seed: 4, numRuns: 500 },
  );
});

test("bytes and durations read well", () => {
  assert.deepEqual([0, 999, 1_000, 12_345, 5e12, 7e15].map(bytesText), [
    "0 B",
    "999 B",
    "1.00 KB",
    "12.3 KB",
    "5.00 TB",
    "7000.0 TB",
  ]);
  assert.deepEqual([0, 59_001, 61_000, 3_660_000].map(durationText), [
    "0 s",
    "1 min 0 s",
    "1 min 1 s",
    "1 h 1 min",
  ]);
});

test("places are told as rsync tells them", () => {
  assert.deepEqual(parseRemote("edge-a:/srv/copy"), { host: "edge-a", folder: "/srv/copy" });
  assert.deepEqual(parseRemote("root@10.0.0.1:"), { host: "root@10.0.0.1", folder: "." });
  assert.deepEqual(parseRemote("[fe80::1]:a:b"), { host: "[fe80::1]", folder: "a:b" });
  assert.equal(parseRemote("./here:not-remote"), undefined);
  assert.equal(parseRemote("here"), undefined);
});

test("rates, codes and addresses are understood or refused with what would be", () => {
  assert.equal(parseRate("100Mbit"), 12_500_000);
  assert.equal(parseRate("1.5 MB/s"), 1_500_000);
  assert.throws(() => parseRate("fast"), /20MB/);
  assert.throws(() => parseRate("0MB"), /20MB/);
  assert.equal(parseDscp("EF"), 46);
  assert.equal(parseDscp("8"), 8);
  assert.throws(() => parseDscp("64"), /0 to 63/);
  const everywhere = { host: "0.0.0.0", port: 7440 };
  assert.deepEqual(parseListen("8000", everywhere), { host: "0.0.0.0", port: 8000 });
  assert.deepEqual(parseListen("[::1]:8000", everywhere), { host: "::1", port: 8000 });
  assert.throws(() => parseListen("here", everywhere), /host:port/);
});
