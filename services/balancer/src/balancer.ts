/** Puts the parts of the balancer together, whatever bus, services and load balancers they run on. */

import type { Bus } from "@understudy/bus/bus";
import type { Clock } from "@understudy/model/clock";
import type { PoolSpec } from "@understudy/model/policy";
import type { Client, Implementation } from "@understudy/service/grpc";
import type { Log } from "@understudy/service/log";
import type { Actor } from "@understudy/service/run";
import type { Telemetry } from "@understudy/service/telemetry";
import type { TrafficDriver } from "@understudy/traffic/driver";
import type { HealthControl, ReplicationControl } from "@understudy/wire/gen/control";
import { createAnswers } from "./answers.ts";
import { trafficControl } from "./control.ts";
import { followConfig, followHealth, followMetrics, followPredictions, followReplication } from "./follow.ts";
import { createHistory } from "./history.ts";
import { createLoop, type Loop } from "./loop.ts";
import { openOutbox } from "./outbox.ts";
import { createPerformer } from "./perform.ts";
import { openPools } from "./pools.ts";
import { createInstruments } from "./telemetry.ts";
import { verifyTraffic } from "./verify-traffic.ts";

export type BalancerParts = {
  readonly host: string;
  readonly bus: Bus;
  /** One for each host: only the one that leads a resource tells its roles. */
  readonly replicators: readonly Client<typeof ReplicationControl>[];
  readonly health: Client<typeof HealthControl>;
  readonly openDriver: (pool: PoolSpec) => TrafficDriver;
  readonly clock: Clock;
  readonly telemetry: Pick<Telemetry, "tracer" | "meter">;
  readonly log: Log;
};

export type Balancer = {
  readonly actors: readonly Actor[];
  readonly control: Implementation;
  /** Why it is not ready; undefined when it is. */
  missing(): string | undefined;
  close(): Promise<void>;
};

export function createBalancer(parts: BalancerParts): Balancer {
  const { bus, clock, log } = parts;
  const instruments = createInstruments({ ...parts.telemetry, log });
  const history = createHistory();
  const answers = createAnswers();
  const outbox = openOutbox(instruments);
  const pools = openPools({
    openDriver: parts.openDriver,
    instruments,
    nowMs: clock.nowMs,
    onAnswer: (answer) => answers.tell(answer.order.resource, performer.answered(answer)),
    onRecovered: (pool, plan) => loop.hear({ kind: "recovered", pool, plan }),
  });
  const performer = createPerformer({ bus, pools, outbox, history, clock, source: `balancer@${parts.host}` });
  const loop: Loop = createLoop({ clock, instruments, perform: performer.effect });
  let configured = false;
  return {
    actors: [
      { name: "decide", run: loop.run },
      followConfig(bus, (configuration) => {
        // The core first: it must know the pools when they tell what is in force.
        loop.hear({ kind: "configured", configuration });
        pools.configure(configuration);
        configured = true;
      }),
      followPredictions(bus, loop.hear),
      followMetrics(bus, loop.hear),
      ...parts.replicators.map((each) => followReplication(each, loop.hear, instruments)),
      followHealth(parts.health, loop.hear, instruments),
      verifyTraffic({ loop, pools, performer, instruments }),
    ],
    control: trafficControl({ loop, history, answerTo: answers.next }),
    missing() {
      if (!configured) return "no configuration yet: understudy apply -f understudy.yaml";
      const unheard = pools.unheard();
      return unheard.length > 0
        ? `no answer from the load balancer of pool ${unheard.join(", ")}`
        : undefined;
    },
    close: async () => {
      outbox.close();
      await pools.close();
    },
  };
}
