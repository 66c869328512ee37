import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { BLOCK_BYTES, hashesOf } from "./blocks.ts";
import type { Change } from "./change.ts";
import { captureImage, type DirtyRange } from "./image.ts";
import { emptyManifest, rootOf, setBlocks, setEntry } from "./manifest.ts";

async function openImage(t: TestContext, size: number) {
  const dir = mkdtempSync(join(tmpdir(), "understudy-image-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, "disk.raw");
  writeFileSync(path, randomBytes(size));
  let dirty: DirtyRange[] = [];
  const capture = await captureImage({
    path,
    pending: () => dirty.length > 0,
    async takeDirty() {
      const taken = dirty;
      dirty = [];
      return taken;
    },
  });
  const write = (data: Uint8Array, offset: number) => {
    const fd = openSync(path, "r+");
    writeSync(fd, data, 0, data.length, offset);
    closeSync(fd);
    dirty.push({ offset, length: data.length });
  };
  return { path, capture, write, mark: (range: DirtyRange) => void dirty.push(range) };
}

function rootOfFile(path: string, entry: Parameters<typeof setEntry>[2]["entry"]): string {
  const manifest = emptyManifest();
  const data = readFileSync(path);
  setEntry(manifest, "disk.raw", { entry });
  const hashes = hashesOf(data, BLOCK_BYTES);
  const indexes = Array.from({ length: Math.ceil(data.length / BLOCK_BYTES) }, (_, index) => index);
  setBlocks(manifest, "disk.raw", { indexes, hashes });
  return rootOf(manifest);
}

const indexesIn = (changes: readonly Change[] | undefined) =>
  changes!.flatMap((change) => (change.op === "blocks" ? change.indexes : []));

test("only what the map names is looked at, and the manifest is the image's", async (t) => {
  const { path, capture, write, mark } = await openImage(t, 3_000_001);
  const entry = () => capture.manifest.entries.get("disk.raw")!.entry;
  assert.equal(rootOf(capture.manifest), rootOfFile(path, entry()));
  assert.equal(capture.pending(), false);
  assert.equal((await capture.take()).count, 0, "nothing changed");
  write(randomBytes(5_000), 4_090);
  mark({ offset: 1_000_000, length: 10_000 });
  assert.equal(capture.pending(), true);
  const { changes } = await capture.take();
  assert.deepEqual(indexesIn(changes), [0, 1, 2], "what is named but the same is not sent");
  assert.equal(rootOf(capture.manifest), rootOfFile(path, entry()));
  assert.deepEqual(
    Buffer.from((await capture.read("disk.raw", [0, 2]))!),
    Buffer.concat([readFileSync(path).subarray(0, 4_096), readFileSync(path).subarray(8_192, 12_288)]),
  );
  assert.equal(await capture.read("other", [0]), undefined);
});

test("zeros are no contents, and an image that grows is read where it has grown", async (t) => {
  const { path, capture, write } = await openImage(t, 8 * BLOCK_BYTES);
  write(Buffer.alloc(2 * BLOCK_BYTES), BLOCK_BYTES);
  const { changes } = await capture.take();
  assert.deepEqual(
    changes!.find((change) => change.op === "copy"),
    {
      op: "copy",
      path: "disk.raw",
      from: "",
      runs: [{ first: 1, count: 2, offset: BLOCK_BYTES }],
    },
  );
  assert.deepEqual(indexesIn(changes), []);
  truncateSync(path, 10 * BLOCK_BYTES);
  write(Buffer.alloc(10, 1), 0);
  await capture.take();
  assert.equal(rootOf(capture.manifest), rootOfFile(path, capture.manifest.entries.get("disk.raw")!.entry));
});
