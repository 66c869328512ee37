/** The collector: what is each instance doing now? */

import { connectJetStream } from "@understudy/bus/jetstream";
import { systemClock } from "@understudy/service/clock";
import { openLog } from "@understudy/service/log";
import { serveProbes } from "@understudy/service/probes";
import { runService } from "@understudy/service/run";
import { startTelemetry } from "@understudy/service/telemetry";
import { PEER_NAME, readTls } from "@understudy/service/tls";
import { trafficOpener } from "./balancer.ts";
import { createCollector } from "./collector.ts";
import { readConfig } from "./config.ts";

await runService("collector", async (own, env) => {
  const config = readConfig(env);
  const log = openLog("collector", config.logLevel);
  const telemetry = own(await startTelemetry({ service: "collector", ...config }));
  const bus = own(await connectJetStream({ ...config.nats, name: `collector@${config.host}` }));
  const openTraffic = trafficOpener({ ...readTls(config.tlsDir), peerName: PEER_NAME });
  const collector = own(createCollector({ ...config, bus, openTraffic, clock: systemClock, telemetry, log }));
  const ready = (): string | undefined => (bus.connected() ? undefined : "the bus is away");
  own(await serveProbes({ listen: config.probesListen, telemetry, ready }));
  return collector.actors;
});
