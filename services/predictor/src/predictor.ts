/** Puts the parts of the predictor together over a bus, whatever it runs on. */

import type { Bus } from "@understudy/bus/bus";
import type { Clock } from "@understudy/model/clock";
import type { Shard } from "@understudy/model/shard";
import type { Log } from "@understudy/service/log";
import type { Telemetry } from "@understudy/service/telemetry";
import { openLearntFiles } from "./learnt-files.ts";
import { createLoop, type Loop } from "./loop.ts";
import { createPerformer, SERVICE } from "./perform.ts";
import { createInstruments } from "./telemetry.ts";

export function createPredictor({
  host,
  dataDir,
  shard,
  bus,
  clock,
  telemetry,
  log,
}: {
  readonly host: string;
  /** Where what was learnt is kept. */
  readonly dataDir: string;
  /** Which resources are its own. */
  readonly shard: Shard;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly log: Log;
}): Loop {
  const instruments = createInstruments({ ...telemetry, log });
  const perform = createPerformer({ bus, clock, source: `${SERVICE}@${host}`, instruments });
  return createLoop({ bus, clock, perform, shard, files: openLearntFiles(dataDir, { shard, log }) });
}
