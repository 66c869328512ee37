import assert from "node:assert/strict";
import { test } from "node:test";
import { HLC_DRIFT_MAX_MS } from "@understudy/model/hlc";
import { POSITION_ZERO } from "@understudy/model/position";
import { BLOCK_BYTES, blockHash } from "./blocks.ts";
import type { Change } from "./change.ts";
import type { MirrorError, MirrorErrorCode } from "./error.ts";
import { abandonIntake, beginIntake } from "./intake.ts";
import { type Entry, emptyManifest, rootOf, setBlocks, setEntry } from "./manifest.ts";

const NOW_MS = 1_000_000;
const file = (size: number): Entry => ({
  kind: "file",
  mode: 0o644,
  mtimeMs: 0,
  size,
  blockSize: BLOCK_BYTES,
  target: "",
  uid: 0,
  gid: 0,
});
const folder: Entry = {
  kind: "folder",
  mode: 0o755,
  mtimeMs: 0,
  size: 0,
  blockSize: 0,
  target: "",
  uid: 0,
  gid: 0,
};
const put = (path: string, entry: Entry): Change => ({ op: "entry", path, entry });
const blocks = (path: string, indexes: number[], bytes: number): Change => ({
  op: "blocks",
  path,
  blockSize: BLOCK_BYTES,
  indexes,
  data: Buffer.alloc(bytes, 5),
});

function intake() {
  const manifest = emptyManifest();
  const begin = { type: "begin", epoch: 1, base: { version: 0, root: POSITION_ZERO.root } } as const;
  const rules = { roots: ["data"], accepts: (kind: string) => kind !== "database" };
  return { manifest, taking: beginIntake(manifest, { begin, rules }) };
}

function refused(changes: readonly Change[]): MirrorErrorCode | undefined {
  const { manifest, taking } = intake();
  try {
    for (const change of changes) taking.add(change);
    return undefined;
  } catch (error) {
    abandonIntake(taking);
    assert.equal(rootOf(manifest), POSITION_ZERO.root, "nothing is left of it");
    return (error as MirrorError).code;
  }
}

test("changes that fit are taken, and the manifest follows", () => {
  const { manifest, taking } = intake();
  const changes = [put("data", folder), put("data/f", file(5_000)), blocks("data/f", [0, 1], 5_000)];
  for (const change of changes) taking.add(change);
  const expected = emptyManifest();
  setEntry(expected, "data", { entry: folder });
  setEntry(expected, "data/f", { entry: file(5_000) });
  const hashes = Buffer.concat([blockHash(Buffer.alloc(4_096, 5)), blockHash(Buffer.alloc(904, 5))]);
  setBlocks(expected, "data/f", { indexes: [0, 1], hashes });
  assert.equal(rootOf(manifest), rootOf(expected));
  const position = { epoch: 1, version: 1, hlc: { wallMs: NOW_MS, counter: 0 }, root: rootOf(expected) };
  assert.equal(taking.end({ type: "end", position, changes: 3 }, NOW_MS), position);
});

test("what is not of this state is refused", () => {
  const link = (target: string): Entry => ({ ...folder, kind: "link", target });
  const cases: [MirrorErrorCode, Change[]][] = [
    ["escape", [put("other", folder)]],
    ["escape", [put("data/../x", folder)]],
    ["escape", [put("data", folder), put("data/l", link("../../x"))]],
    ["escape", [put("data/f", file(0))]],
    ["escape", [put("data", file(0)), put("data/f", file(0))]],
    ["garbage", [put("data", { ...file(4096), kind: "database" })]],
    ["garbage", [put("data", folder), put("data", file(0))]],
  ];
  for (const [code, changes] of cases) assert.equal(refused(changes), code, JSON.stringify(changes));
});

test("blocks that do not fit their entry are refused", () => {
  const entry = put("data", file(5_000));
  const cases: Change[][] = [
    [blocks("data", [0], 4_096)],
    [entry, blocks("data", [2], 1)],
    [entry, blocks("data", [1], 4_096)],
    [entry, blocks("data", [0], 904)],
    [entry, { op: "blocks", path: "data", blockSize: 512, indexes: [0], data: Buffer.alloc(512) }],
    [entry, { op: "remove", path: "data" }, blocks("data", [0], 4_096)],
  ];
  for (const changes of cases) assert.equal(refused(changes), "garbage", JSON.stringify(changes.at(-1)));
});

test("an end that does not match what came is refused", () => {
  const good = { epoch: 1, version: 1, hlc: { wallMs: NOW_MS, counter: 0 }, root: POSITION_ZERO.root };
  const late = { ...good, hlc: { wallMs: NOW_MS + HLC_DRIFT_MAX_MS + 1, counter: 0 } };
  const cases = [
    ["garbage", good, 1],
    ["garbage", { ...good, epoch: 2 }, 0],
    ["mismatch", { ...good, root: "1".repeat(64) }, 0],
    ["clock", late, 0],
  ] as const;
  for (const [code, position, changes] of cases) {
    const end = () => intake().taking.end({ type: "end", position, changes }, NOW_MS);
    assert.throws(end, (error: MirrorError) => error.code === code, code);
  }
});
