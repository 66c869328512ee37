/** What every driver asks of a plan before it touches its load balancer. */

import { isLabel } from "@understudy/model/names";
import { PPM } from "@understudy/model/share";
import { DriverError, type Plan, type PlanTarget } from "./driver.ts";

/** Numeric or a host name, and a port: it becomes part of a command, so nothing else may be in it. */
const ADDRESS = /^[A-Za-z0-9.-]{1,253}:\d{1,5}$/;

/** Throws DriverError "refused" when the plan contradicts itself. */
export function checkPlan(plan: Plan): void {
  const refuse = (why: string): never => {
    throw new DriverError("refused", `plan ${plan.epoch}.${plan.revision} of pool ${plan.pool}: ${why}`);
  };
  for (const number of [plan.epoch, plan.revision]) {
    if (!Number.isSafeInteger(number) || number < 0) refuse(`${number} is no epoch or revision`);
  }
  const names = new Set<string>();
  for (const target of plan.targets) {
    const why = mistakeOf(target);
    if (why) refuse(`target "${target.instance.slice(0, 80)}": ${why}`);
    if (names.has(target.instance)) refuse(`target "${target.instance}" is there twice`);
    names.add(target.instance);
  }
  if (plan.targets.filter((target) => target.writes).length > 1) refuse("more than one target takes writes");
  if (plan.targets.reduce((sum, target) => sum + target.readPpm, 0) > PPM)
    refuse("its shares are more than the whole");
}

function mistakeOf(target: PlanTarget): string | undefined {
  const { instance, address, gateAddress, readPpm, writes } = target;
  if (!isLabel(instance)) return "its name is not a DNS label";
  if (!ADDRESS.test(address)) return `address "${address.slice(0, 80)}" is not host:port`;
  if (gateAddress !== "" && !ADDRESS.test(gateAddress))
    return `gate "${gateAddress.slice(0, 80)}" is not host:port`;
  if (writes && gateAddress === "") return "it takes writes but has no gate that could close it";
  if (!Number.isSafeInteger(readPpm) || readPpm < 0 || readPpm > PPM) return `its share is ${readPpm} ppm`;
  return undefined;
}

/** Orders plans: a higher epoch always wins, whatever the revision. */
export function isOlder(
  plan: Pick<Plan, "epoch" | "revision">,
  than: Pick<Plan, "epoch" | "revision">,
): boolean {
  return plan.epoch < than.epoch || (plan.epoch === than.epoch && plan.revision < than.revision);
}

/** Throws DriverError "stale-plan" when `plan` is older than the one in force. */
export function refuseOlder(plan: Plan, inForce: Pick<Plan, "epoch" | "revision">): void {
  if (!isOlder(plan, inForce)) return;
  const found = `${inForce.epoch}.${inForce.revision}`;
  throw new DriverError(
    "stale-plan",
    `plan ${plan.epoch}.${plan.revision} of pool ${plan.pool}: ${found} is in force`,
  );
}
