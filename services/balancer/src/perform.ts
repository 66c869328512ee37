/** Each effect of the core as one call on a load balancer or the bus. The load balancer first; nobody waits for the bus. */

import { type Context, trace } from "@opentelemetry/api";
import type { Bus } from "@understudy/bus/bus";
import { publishMessage } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Clock } from "@understudy/model/clock";
import { HLC_ZERO, tickHlc } from "@understudy/model/hlc";
import type { LbApplied } from "@understudy/wire/gen/lb";
import type { Answer } from "./applier.ts";
import type { Effect } from "./events.ts";
import type { History } from "./history.ts";
import type { Outbox } from "./outbox.ts";
import type { Pools } from "./pools.ts";
import type { Verified } from "./verify.ts";
import {
  type About,
  appliedToWire,
  commandToWire,
  measuredToWire,
  noticeToWire,
  scaleToWire,
  weightsToWire,
} from "./wire.ts";

export type Performer = {
  effect(effect: Effect, within: Context): void;
  /** Tells everybody what the load balancer answered; returns what was told. */
  answered(answer: Answer): LbApplied;
  verified(resource: string, inForce: { plan: Answer["order"]["plan"] }, verified: Verified): void;
};

export function createPerformer(parts: {
  readonly bus: Bus;
  readonly pools: Pools;
  readonly outbox: Outbox;
  readonly history: History;
  readonly clock: Clock;
  readonly source: string;
}): Performer {
  const { bus, pools, outbox, history, clock, source } = parts;
  let time = HLC_ZERO;
  const about = (): About => {
    time = tickHlc(time, clock.nowMs());
    return { time, source };
  };

  return {
    effect(effect, within) {
      switch (effect.kind) {
        case "apply": {
          const { resource, plan, sampledAtMs } = effect;
          pools.get(plan.pool)?.submit({ resource, plan, sampledAtMs, trace: within });
          return;
        }
        case "say-weights": {
          const { resource } = effect.decision;
          const message = weightsToWire(
            effect.decision,
            trace.getSpanContext(within)?.traceId ?? "",
            about(),
          );
          history.addWeights(resource, message);
          const send = () =>
            publishMessage(bus, TOPICS.weights, { names: [resource], message, trace: within });
          outbox.level(`weights.${resource}`, send);
          return;
        }
        case "say-plan": {
          const { plan, resource } = effect;
          const message = commandToWire(plan, resource, about());
          const send = () =>
            publishMessage(bus, TOPICS.lbCommands, { names: [plan.pool], message, trace: within });
          outbox.level(`command.${plan.pool}`, send);
          return;
        }
        case "say-scale": {
          const { resource } = effect.decision;
          const message = scaleToWire(effect.decision, about());
          history.addScale(resource, message);
          const send = () => publishMessage(bus, TOPICS.scale, { names: [resource], message, trace: within });
          outbox.level(`scale.${resource}`, send);
          return;
        }
        case "notice": {
          const { notice } = effect;
          const message = noticeToWire(notice, about());
          outbox.event(() =>
            publishMessage(bus, TOPICS.events, { names: [notice.resource], message, trace: within }),
          );
          return;
        }
      }
    },

    answered(answer) {
      const { resource, plan, trace: within } = answer.order;
      const message = appliedToWire(plan, answer, { ...about(), resource });
      history.addApplied(resource, message);
      const send = () =>
        publishMessage(bus, TOPICS.lbApplied, { names: [plan.pool], message, trace: within });
      outbox.level(`applied.${plan.pool}`, send);
      return message;
    },

    verified(resource, { plan }, { shares }) {
      const message = measuredToWire(plan, shares, { ...about(), resource });
      history.addApplied(resource, message);
      const send = () => publishMessage(bus, TOPICS.lbApplied, { names: [plan.pool], message });
      outbox.level(`verified.${plan.pool}`, send);
    },
  };
}
