/** Shadows that a host keeps, between our words and the wire's; what comes in is checked here, once. */

import { create } from "@bufbuild/protobuf";
import { parseEndpoint } from "@understudy/model/endpoint";
import { asLabel } from "@understudy/model/names";
import { type HostedShadow, type KeptShadow, KeptShadowSchema } from "@understudy/wire/gen/host";
import { InstancePhase } from "@understudy/wire/gen/role";
import type { KeptElsewhere } from "../events.ts";
import type { Tracked } from "../resource-state.ts";

const INCARNATION = /^[A-Za-z0-9_-]{1,64}$/;
const WHY_LENGTH_MAX = 300;

const PHASES: Record<KeptElsewhere["phase"], InstancePhase> = {
  seeding: InstancePhase.SEEDING,
  starting: InstancePhase.STARTING,
  serving: InstancePhase.SERVING,
  gone: InstancePhase.GONE,
};

export function keptToWire(tracked: Tracked): KeptShadow {
  const { name: instance, incarnation, address, pid, pidStartTicks, stage, mirror } = tracked;
  return create(KeptShadowSchema, {
    instance,
    incarnation,
    phase: PHASES[phaseOf(stage)],
    why: stage.at === "lost" ? stage.why : "",
    address,
    pid,
    pidStartTicks: BigInt(pidStartTicks),
    open: mirror === "open",
  });
}

function phaseOf({ at }: Tracked["stage"]): KeptElsewhere["phase"] {
  switch (at) {
    case "seeding":
    case "starting":
    case "serving":
      return at;
    case "draining":
    case "removing":
    case "lost":
    case "ending":
      return "gone";
  }
}

/** Throws a RangeError when it cannot be. */
export function keptFromWire(wire: KeptShadow): KeptElsewhere {
  const phase = (Object.keys(PHASES) as KeptElsewhere["phase"][]).find((each) => PHASES[each] === wire.phase);
  if (!phase) throw new RangeError(`${wire.instance}: phase ${wire.phase} is not one of a shadow`);
  if (wire.address !== "" && !parseEndpoint(wire.address))
    throw new RangeError(`"${wire.address.slice(0, 80)}" is not host:port`);
  const { address, pid, open } = wire;
  const why = wire.why.slice(0, WHY_LENGTH_MAX);
  return {
    ...memberFromWire(wire),
    phase,
    why,
    address,
    pid,
    pidStartTicks: Number(wire.pidStartTicks),
    open,
  };
}

/** Names become folders. Throws a RangeError. */
export function memberFromWire({ instance, incarnation }: Pick<HostedShadow, "instance" | "incarnation">) {
  if (!INCARNATION.test(incarnation)) throw new RangeError(`"${incarnation.slice(0, 80)}" is no incarnation`);
  return { instance: asLabel(instance, "instance"), incarnation };
}
