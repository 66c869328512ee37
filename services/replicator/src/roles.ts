/** The membership as others see it. Pure. */

import type { Instance, InstancePhase, Role, Roles } from "@understudy/model/instance";
import { type ResourceState, reigning, type Tracked } from "./resource-state.ts";

export function rolesOf(state: ResourceState): Roles {
  return {
    resource: state.resource,
    epoch: state.authority?.epoch ?? 0,
    primary: leads(state)?.name ?? "",
    instances: state.instances.map((tracked) => instanceOf(tracked, state.host)),
  };
}

/** Nobody leads while its writes are stopped for a change of primary. */
function leads(state: ResourceState): Tracked | undefined {
  const { step } = state.takeover;
  return step === "idle" || step === "blocked" || step === "claiming" ? reigning(state) : undefined;
}

function instanceOf(tracked: Tracked, host: string): Instance {
  const { name, incarnation, address, gateAddress, pid, pidStartTicks, requestedAtMs, readyAtMs } = tracked;
  const place = { host: tracked.host || host, address, gateAddress, pid, pidStartTicks };
  return {
    name,
    incarnation,
    ...place,
    role: roleOf(tracked),
    phase: phaseOf(tracked),
    requestedAtMs,
    readyAtMs,
  };
}

function roleOf(tracked: Tracked): Role {
  return tracked.role === "primary" && tracked.stage.at === "lost" ? "fenced" : tracked.role;
}

function phaseOf(tracked: Tracked): InstancePhase {
  switch (tracked.stage.at) {
    case "seeding":
    case "starting":
    case "serving":
    case "draining":
      return tracked.stage.at;
    case "removing":
      return "draining";
    case "lost":
    case "ending":
      return "gone";
  }
}
