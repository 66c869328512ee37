/** A small file that is put together in memory is the one that was written block by block. */

import assert from "node:assert/strict";
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { BLOCK_BYTES } from "./blocks.ts";
import type { Contents } from "./change.ts";
import { composeFile, isSmall, SMALL_BYTES_MAX, writeUnlessZeroSync } from "./compose.ts";

const SEED = 20_261_124;
const BLOCKS = 6;

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "understudy-compose-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** One block after the other over what there was, cut to its size at the end. */
function byHand(base: Buffer | undefined, contents: readonly Contents[], size: number): Buffer {
  const file = Buffer.alloc((BLOCKS + 1) * BLOCK_BYTES);
  base?.copy(file, 0, 0, Math.min(base.length, size));
  for (const each of contents) {
    if (each.op === "copy")
      for (const { first, count } of each.runs)
        file.fill(0, first * BLOCK_BYTES, (first + count) * BLOCK_BYTES);
    else
      for (const [at, index] of each.indexes.entries())
        file.set(each.data.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES), index * BLOCK_BYTES);
  }
  return file.subarray(0, size);
}

const zeros = fc
  .record({ first: fc.nat(BLOCKS - 1), count: fc.integer({ min: 1, max: 2 }) })
  .map((run): Contents => ({ op: "copy", path: "file", from: "", runs: [{ ...run, offset: 0 }] }));

const change = fc
  .uniqueArray(fc.nat(BLOCKS - 1), { minLength: 1 })
  .chain((indexes) => fc.tuple(fc.constant(indexes.sort((a, b) => a - b)), fc.integer({ min: 0, max: 255 })))
  .map(
    ([indexes, fill]): Contents => ({
      op: "blocks",
      path: "file",
      blockSize: BLOCK_BYTES,
      indexes,
      data: Buffer.alloc(indexes.length * BLOCK_BYTES, fill),
    }),
  );

test("whatever blocks come over whatever there was", (t) => {
  const at = join(folder(t), "base");
  fc.assert(
    fc.property(
      fc.option(fc.nat(BLOCKS * BLOCK_BYTES), { nil: undefined }),
      fc.array(fc.oneof(change, zeros), { maxLength: 4 }),
      fc.nat(BLOCKS * BLOCK_BYTES),
      (baseBytes, contents, size) => {
        const before = baseBytes === undefined ? undefined : Buffer.alloc(baseBytes, 7);
        if (before) writeFileSync(at, before);
        const whole = composeFile({ size, contents, base: before && at });
        assert.ok(whole.equals(byHand(before, contents, size)));
      },
    ),
    { seed: SEED },
  );
});

test("what is zeros is not written, and read as zeros", (t) => {
  const at = join(folder(t), "sparse");
  const data = Buffer.alloc(BLOCKS * BLOCK_BYTES + 100);
  data.fill(1, BLOCK_BYTES, 2 * BLOCK_BYTES);
  const file = openSync(at, "wx");
  writeUnlessZeroSync(file, data);
  ftruncateSync(file, data.length);
  closeSync(file);
  assert.ok(readFileSync(at).equals(data));
  assert.ok(statSync(at).blocks * 512 < data.length, "the holes take no room");
});

test("a large file, one that was written over and over, and copies are not held in memory", () => {
  const entry = {
    kind: "file",
    mode: 0,
    mtimeMs: 0,
    size: 10,
    blockSize: BLOCK_BYTES,
    target: "",
    uid: 0,
    gid: 0,
  } as const;
  const slots = (count: number) => Array.from({ length: count }, () => ({ offset: 0, length: BLOCK_BYTES }));
  assert.equal(isSmall({ entry, fresh: false, slots: slots(1) }), true);
  assert.equal(
    isSmall({ entry: { ...entry, size: SMALL_BYTES_MAX + 1 }, fresh: false, slots: slots(1) }),
    false,
  );
  assert.equal(isSmall({ entry, fresh: false, slots: slots(100) }), false);
  assert.equal(isSmall({ entry, fresh: false, slots: slots(1), copies: true }), false);
});
