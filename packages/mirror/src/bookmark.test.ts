import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { POSITION_ZERO } from "@understudy/model/position";
import { type Bookmark, openBookmark } from "./bookmark.ts";

function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "understudy-bookmark-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, "bookmark");
}

function read(file: string): Bookmark {
  const bookmark = openBookmark(file);
  bookmark.close();
  return bookmark.current;
}

const at = (version: number): Bookmark => ({
  role: "shadow",
  position: { epoch: 3, version, hlc: { wallMs: 1_700_000_000_000, counter: 7 }, root: "ab".repeat(32) },
  epochSeen: 4,
});

test("a new bookmark stands at the beginning", (t) => {
  assert.deepEqual(read(scratch(t)), { role: "released", position: POSITION_ZERO, epochSeen: 0 });
});

test("the newest place written is the one read", async (t) => {
  const file = scratch(t);
  const bookmark = openBookmark(file);
  for (let version = 1; version <= 5; version += 1) bookmark.write(at(version));
  await bookmark.sync();
  bookmark.close();
  assert.deepEqual(read(file), at(5));
});

test("a write torn at any byte leaves the place before it", (t) => {
  const file = scratch(t);
  const bookmark = openBookmark(file);
  bookmark.write(at(1));
  bookmark.write(at(2));
  const before = readFileSync(file);
  bookmark.write(at(3));
  bookmark.close();
  const after = readFileSync(file);
  for (let cut = 0; cut <= after.length; cut += 1) {
    writeFileSync(file, Buffer.concat([after.subarray(0, cut), before.subarray(cut)]));
    const { version } = read(file).position;
    assert.ok(version === 2 || version === 3, `cut at ${cut}: version ${version}`);
  }
});
