/** The replicator: which bytes must move, and who is primary? */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { listenMirror } from "@understudy/mirror/listener";
import { openPrimary } from "@understudy/mirror/primary";
import { byResource } from "@understudy/resource/by-resource";
import { openDockerDriver } from "@understudy/resource/docker";
import { openProcessDriver } from "@understudy/resource/process";
import { systemClock } from "@understudy/service/clock";
import { connectGrpc, serveGrpc } from "@understudy/service/grpc";
import { openLog } from "@understudy/service/log";
import { serveProbes } from "@understudy/service/probes";
import { runService } from "@understudy/service/run";
import { readTls } from "@understudy/service/tls";
import { openRedisStore } from "@understudy/state/redis";
import { HealthControl } from "@understudy/wire/gen/control";
import { readConfig } from "./config.ts";
import { openHosts } from "./hosts/host-registry.ts";
import { openLate } from "./late.ts";
import { createReplicator, keptConfiguration } from "./replicator.ts";

await runService("replicator", async (own, env) => {
  const config = readConfig(env);
  const log = openLog("replicator", config.logLevel);
  const tls = readTls(config.tlsDir);
  const late = own(openLate(config));
  const store = own(openRedisStore(config.redis));
  const health = own(connectGrpc(HealthControl, config.healthGrpc, tls));
  const engine = { listenMirror, openPrimary };
  const runDir = join(config.dataDir, "run");
  const driver = byResource((resource) => replicator.specOf(resource)?.driver, {
    process: await openProcessDriver({
      runDir,
      runOf: (resource) => replicator.specOf(resource)?.run,
      address: () => replicator.address(),
      environment: config.instanceEnvironment,
      onError: (error) => log.warn("process driver", { error }),
    }),
    docker: await openDockerDriver({
      socket: config.dockerSocket,
      network: config.dockerNetwork,
      runDir,
      specOf: (resource) => replicator.specOf(resource),
      onError: (error) => log.warn("docker driver", { error }),
    }),
  });
  const takesOver = existsSync(keptConfiguration(config.dataDir));
  const parts = { ...config, ...late, clock: systemClock, store, driver, engine, health, tls, log };
  const replicator = own(createReplicator(parts));
  const services = [replicator.control, replicator.hostControl];
  if (config.enrol) {
    const configured = () => replicator.hosts();
    const hosts = {
      ...config.enrol,
      dataDir: config.dataDir,
      tls,
      log,
      nowMs: systemClock.nowMs,
      configured,
    };
    services.push(own(await openHosts(hosts)).control);
  }
  own(await serveGrpc({ listen: config.grpcListen, tls, services }));
  own(
    await serveProbes({ listen: config.probesListen, telemetry: late.telemetry, ready: replicator.unready }),
  );
  const isServing = () => replicator.unready() === undefined;
  return [...replicator.actors, late.load({ takesOver, isServing })];
});
