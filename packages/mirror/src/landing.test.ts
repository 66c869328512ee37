import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { BLOCK_BYTES } from "./blocks.ts";
import { openLandings } from "./landing.ts";
import { openPins } from "./pins.ts";

async function openTestPins(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "understudy-landing-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return { dir, pins: await openPins(dir) };
}

const blocks = (indexes: number[], data: Uint8Array) =>
  ({ op: "blocks", path: "f", blockSize: BLOCK_BYTES, indexes, data }) as const;

test("contents land where they belong, and one copy stands for neighbours that came one after the other", async (t) => {
  const { dir, pins } = await openTestPins(t);
  const size = 9 * BLOCK_BYTES - 100;
  const data = randomBytes(size);
  const piece = (first: number, end: number) => data.subarray(first * BLOCK_BYTES, end * BLOCK_BYTES);
  const landings = openLandings(pins);
  assert.equal(landings.used, false);
  const landing = await landings.open({ path: "f", size });
  await landing.add(blocks([0, 1, 2], piece(0, 3)));
  await landing.add(blocks([3, 6], Buffer.concat([piece(3, 4), piece(6, 7)])));
  await landing.add(blocks([7, 8], piece(7, 9)));
  const [copy, ...more] = landing.finish();
  assert.deepEqual(more, []);
  assert.deepEqual(copy!.runs, [
    { first: 0, count: 4, offset: 0 },
    { first: 6, count: 3, offset: 6 * BLOCK_BYTES },
  ]);
  await landings.settle();
  assert.equal(landings.used, true);
  const expected = Buffer.from(data);
  expected.fill(0, 4 * BLOCK_BYTES, 6 * BLOCK_BYTES);
  assert.ok(readFileSync(join(dir, copy!.from)).equals(expected));
});

test("what is discarded is gone, whether it was finished or not", async (t) => {
  const { dir, pins } = await openTestPins(t);
  const landings = openLandings(pins);
  const finished = await landings.open({ path: "f", size: BLOCK_BYTES });
  await finished.add(blocks([0], randomBytes(BLOCK_BYTES)));
  finished.finish();
  const open = await landings.open({ path: "g", size: BLOCK_BYTES });
  await open.add(blocks([0], randomBytes(BLOCK_BYTES)));
  await landings.discard();
  assert.deepEqual(readdirSync(dir), []);
});

test("a disk that refuses is heard of, at the latest when all should be settled", async (t) => {
  const { dir, pins } = await openTestPins(t);
  const landings = openLandings(pins);
  // Longer than any file may be: the file system says no.
  const landing = await landings.open({ path: "f", size: Number.MAX_SAFE_INTEGER });
  await landing.add(blocks([0], randomBytes(BLOCK_BYTES))).catch(() => undefined);
  landing.finish();
  await assert.rejects(landings.settle());
  rmSync(dir, { recursive: true });
  await assert.rejects(openLandings(pins).open({ path: "g", size: BLOCK_BYTES }), { code: "ENOENT" });
});
