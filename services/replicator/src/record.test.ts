import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
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
