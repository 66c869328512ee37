/** The replicator: which bytes must move, and who is primary? */

import { join } from "node:path";
import { connectJetStream } from "@understudy/bus/jetstream";
import { listenMirror } from "@understudy/mirror/listener";
import { openPrimary } from "@understudy/mirror/primary";
import { openProcessDriver } from "@understudy/resource/process";
import { systemClock } from "@understudy/service/clock";
import { connectGrpc, serveGrpc } from "@understudy/service/grpc";
import { openLog } from "@understudy/service/log";
import { serveProbes } from "@understudy/service/probes";
import { runService } from "@understudy/service/run";
import { startTelemetry } from "@understudy/service/telemetry";
import { readTls } from "@understudy/service/tls";
import { openRedisStore } from "@understudy/state/redis";
import { HealthControl } from "@understudy/wire/gen/control";
import { readConfig } from "./config.ts";
import { createReplicator } from "./replicator.ts";

await runService("replicator", async (own, env) => {
  const config = readConfig(env);
  const log = openLog("replicator", config.logLevel);
  const tls = readTls(config.tlsDir);
  const telemetry = own(await startTelemetry({ service: "replicator", ...config }));
  const bus = own(await connectJetStream({ ...config.nats, name: `replicator@${config.host}` }));
  const store = own(openRedisStore(config.redis));
  const health = own(connectGrpc(HealthControl, config.healthGrpc, tls));
  const engine = { listenMirror, openPrimary };
  const driver = await openProcessDriver({
    runDir: join(config.dataDir, "run"),
    runOf: (resource) => replicator.runOf(resource),
    environment: config.instanceEnvironment,
    onError: (error) => log.warn("process driver", { error }),
  });
  const parts = { ...config, clock: systemClock, bus, store, driver, engine, health, tls, telemetry, log };
  const replicator = own(createReplicator(parts));
  own(await serveGrpc({ listen: config.grpcListen, tls, services: [replicator.control] }));
  own(await serveProbes({ listen: config.probesListen, telemetry, ready: replicator.unready }));
  return replicator.actors;
});
