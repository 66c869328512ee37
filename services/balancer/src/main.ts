/** The balancer service: which share goes where, and does traffic obey? */

import { connectJetStream } from "@understudy/bus/jetstream";
import type { PoolSpec } from "@understudy/model/policy";
import { systemClock } from "@understudy/service/clock";
import { connectGrpc, serveGrpc } from "@understudy/service/grpc";
import { openLog } from "@understudy/service/log";
import { serveProbes } from "@understudy/service/probes";
import { runService } from "@understudy/service/run";
import { startTelemetry } from "@understudy/service/telemetry";
import { PEER_NAME, readTls } from "@understudy/service/tls";
import { openTrafficDriver } from "@understudy/traffic/open";
import { HealthControl, ReplicationControl } from "@understudy/wire/gen/control";
import { createBalancer } from "./balancer.ts";
import { readConfig } from "./config.ts";

await runService("balancer", async (own, env) => {
  const config = readConfig(env);
  const log = openLog("balancer", config.logLevel);
  const tls = readTls(config.tlsDir);
  const telemetry = own(await startTelemetry({ service: "balancer", ...config }));
  const bus = own(await connectJetStream({ ...config.nats, name: `balancer@${config.host}` }));
  const replicators = config.replicatorsGrpc.map((address) =>
    own(connectGrpc(ReplicationControl, address, tls)),
  );
  const health = own(connectGrpc(HealthControl, config.healthGrpc, tls));
  const parts = {
    bus,
    replicators,
    health,
    openDriver: (pool: PoolSpec) => openTrafficDriver(pool, { ...tls, peerName: PEER_NAME }),
    clock: systemClock,
    telemetry,
    log,
  };
  const balancer = own(createBalancer({ ...parts, host: config.host }));
  own(await serveGrpc({ listen: config.grpcListen, tls, services: [balancer.control] }));
  own(await serveProbes({ listen: config.probesListen, telemetry, ready: balancer.missing }));
  return balancer.actors;
});
