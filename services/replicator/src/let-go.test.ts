import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { memoryBus } from "@understudy/bus/memory";
import { createMemoryMachine, openMemoryDriver } from "@understudy/resource/memory";
import { systemClock } from "@understudy/service/clock";
import { openLog } from "@understudy/service/log";
import { foldersOf } from "./folders.ts";
import { letGoOfOthers } from "./let-go.ts";
import { createOutbox } from "./outbox.ts";
import { createPublisher } from "./publish.ts";
import { createWatchBoard } from "./watch-board.ts";

test("what is no longer configured ends, and a record of it that cannot be read takes nothing else with it", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "understudy-let-go-"));
  t.after(() => rmSync(dataDir, { recursive: true }));
  const driver = openMemoryDriver(createMemoryMachine());
  const log = openLog("replicator", "silent");
  const [board, outbox] = [createWatchBoard(), createOutbox(memoryBus())];
  const publisher = createPublisher({ source: "replicator@host-a", clock: systemClock, outbox, board, log });
  const role = { role: "shadow", epoch: 1, untilBootMs: 0 } as const;
  for (const resource of ["stays", "goes"])
    await driver.start({
      resource,
      instance: `${resource}-1`,
      incarnation: "i",
      stateDir: dataDir,
      role,
      env: {},
    });
  const { record } = foldersOf(dataDir, "goes");
  mkdirSync(dirname(record), { recursive: true });
  writeFileSync(record, "{");
  await letGoOfOthers({ units: new Map(), driver, dataDir, publisher, log }, new Set(["stays"]));
  assert.deepEqual(
    (await driver.list()).map(({ resource }) => resource),
    ["stays"],
  );
});
