/** Overload is not death: at three times the capacity of all instances nothing is fenced and nobody is promoted. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { underLoad } from "../src/under-load.ts";

/** A minute in the suite; UNDERSTUDY_OVERLOAD_SECONDS=300 for the whole five. */
const SECONDS = Number(process.env.UNDERSTUDY_OVERLOAD_SECONDS ?? 60);
/** The primary and four shadows, three times. */
const UNITS = 3 * 5;

test("no failover under lasting overload", { timeout: (SECONDS + 120) * 1000 }, async () => {
  const outcome = await underLoad({ units: UNITS, lengthMs: SECONDS * 1000 }, async () => undefined);
  try {
    // Epoch 0: nobody was primary yet.
    const epochs = new Set(
      outcome.observed.roles.map(({ roles }) => roles.epoch).filter((epoch) => epoch > 0),
    );
    assert.deepEqual([...epochs], [1], "nobody was promoted");
    const late = outcome.load.records.filter(({ latencyMs }) => latencyMs > 1_000).length;
    assert.ok(late > outcome.load.records.length / 10, "it really was overloaded");
    assert.deepEqual(outcome.lost, []);
  } finally {
    await outcome.stack.close();
  }
});
