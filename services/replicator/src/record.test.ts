import assert from "node:assert/strict";
import fs, { mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { exampleSpec } from "./example-spec.ts";
import { keptOf, parseKept } from "./record.ts";
import { openRecordFile } from "./record-file.ts";
import { createWorld } from "./simulation/world.ts";

function served() {
  const world = createWorld(exampleSpec);
  world.begin();
  world.run(2000);
  return keptOf(world.state());
}

test("what is kept is what is read, with nothing that changes all the time", () => {
  const kept = served();
  assert.deepEqual(parseKept(JSON.stringify(kept)), kept);
  assert.equal(kept.highestEpoch, 1);
  assert.deepEqual(
    kept.instances.map(({ name, role }) => `${name} ${role}`),
    ["app-1 primary", "app-2 shadow"],
  );
});

test("no record is none; one that cannot be read is an error that names it", () => {
  const folder = mkdtempSync(join(tmpdir(), "understudy-record-"));
  const path = join(folder, "deep", "record.json");
  try {
    const file = openRecordFile(path);
    assert.equal(file.read(), undefined);
    const kept = served();
    file.keep({ ...kept, made: 1 });
    file.keep(kept);
    assert.deepEqual(openRecordFile(path).read(), kept);
    writeFileSync(path, '{"highestEpoch": "many"}');
    assert.throws(() => openRecordFile(path).read(), /record .*record.json cannot be used/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("an epoch is on the disk before anything is done under it, its name in the folder too", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "understudy-record-"));
  try {
    const calls = watchDisk(t, folder);
    const file = openRecordFile(join(folder, "deep", "record.json"));
    const kept = served();
    const { authority } = kept;
    const written = "sync deep/record.json.new, rename deep/record.json, sync deep";
    file.keep(kept);
    assert.equal(calls(), `${written}, sync .`, "a new folder has to be found again as well");
    file.keep({ ...kept, made: 7 });
    const named = "sync deep/record.json.new, rename deep/record.json";
    assert.equal(
      calls(),
      named,
      "its bytes are there before its name, or a loss of power could leave an empty one",
    );
    file.keep({ ...kept, highestEpoch: kept.highestEpoch + 1 });
    assert.equal(calls(), written);
    const inSyncRevision = authority!.inSyncRevision + 1;
    file.keep({ ...kept, highestEpoch: 2, authority: { ...authority!, inSyncRevision } });
    assert.equal(calls(), written);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** What has been synced and renamed below the folder since the last call. */
function watchDisk(t: TestContext, folder: string): () => string {
  const calls: string[] = [];
  const below = (path: string) => path.slice(folder.length + 1) || ".";
  const { fsyncSync, renameSync } = fs;
  t.mock.method(fs, "fsyncSync", (opened: number) => {
    calls.push(`sync ${below(readlinkSync(`/proc/self/fd/${opened}`))}`);
    fsyncSync(opened);
  });
  t.mock.method(fs, "renameSync", (from: string, to: string) => {
    calls.push(`rename ${below(to)}`);
    renameSync(from, to);
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  return () => calls.splice(0).join(", ");
}
