/** The predictor over a real NATS server, with the rights of its own user. */

import { connectJetStream, ensureStreams } from "@understudy/bus/jetstream";
import { accessOf } from "@understudy/testkit/cluster";
import { openRun } from "@understudy/testkit/run";
import { startNats } from "@understudy/testkit/servers/nats";
import { predictorSuite } from "./suite.ts";

predictorSuite(async () => {
  const run = openRun();
  const nats = await startNats({ run });
  await ensureStreams(accessOf(nats, "admin"));
  const connect = (user: "predictor" | "collector" | "cli" | "balancer") =>
    connectJetStream({ ...accessOf(nats, user), name: user });
  const [predictor, collector, cli, observer] = await Promise.all([
    connect("predictor"),
    connect("collector"),
    connect("cli"),
    connect("balancer"),
  ]);
  return {
    predictor,
    collector,
    cli,
    observer,
    interrupt: () => nats.restart(),
    close: async () => {
      await Promise.all([predictor, collector, cli, observer].map((bus) => bus.close()));
      await nats.stop();
      await run.close();
    },
  };
});
