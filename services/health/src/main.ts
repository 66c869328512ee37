/** The health service: who is alive? */

import { connectJetStream } from "@understudy/bus/jetstream";
import { systemClock } from "@understudy/service/clock";
import { connectGrpc, serveGrpc } from "@understudy/service/grpc";
import { openLog } from "@understudy/service/log";
import { serveProbes } from "@understudy/service/probes";
import { runService } from "@understudy/service/run";
import { startTelemetry } from "@understudy/service/telemetry";
import { readTls } from "@understudy/service/tls";
import { ReplicationControl } from "@understudy/wire/gen/control";
import { readConfig } from "./config.ts";
import { createHealth } from "./health.ts";

await runService("health", async (own, env) => {
  const config = readConfig(env);
  const log = openLog("health", config.logLevel);
  const tls = readTls(config.tlsDir);
  const telemetry = own(await startTelemetry({ service: "health", ...config }));
  const bus = own(await connectJetStream({ ...config.nats, name: `health@${config.host}` }));
  const replicators = config.replicatorsGrpc.map((address) =>
    own(connectGrpc(ReplicationControl, address, tls)),
  );
  const health = own(createHealth({ ...config, bus, replicators, clock: systemClock, telemetry, log }));
  own(await serveGrpc({ listen: config.grpcListen, tls, services: [health.control] }));
  own(await serveProbes({ listen: config.probesListen, telemetry, ready: health.missing }));
  return health.actors;
});
