/** The predictor: what will each resource be asked to do, and how sure are we? */

import { connectJetStream } from "@understudy/bus/jetstream";
import { systemClock } from "@understudy/service/clock";
import { openLog } from "@understudy/service/log";
import { serveProbes } from "@understudy/service/probes";
import { runService } from "@understudy/service/run";
import { startTelemetry } from "@understudy/service/telemetry";
import { readConfig } from "./config.ts";
import { createPredictor } from "./predictor.ts";

await runService("predictor", async (own, env) => {
  const config = readConfig(env);
  const log = openLog("predictor", config.logLevel);
  const telemetry = own(await startTelemetry({ service: "predictor", ...config }));
  const bus = own(await connectJetStream({ ...config.nats, name: `predictor@${config.host}` }));
  const predictor = createPredictor({ ...config, bus, clock: systemClock, telemetry, log });
  own(await serveProbes({ listen: config.probesListen, telemetry, ready: predictor.missing }));
  return predictor.actors;
});
