/**
 * What HAProxy must be told to get from what it is to what a plan wants. HAProxy cannot take new servers that inherit
 * their defaults at run time, so both backends have prepared slots: slot k of the reads and slot k of the writes hold the
 * same instance. Which one is kept in a map inside HAProxy itself, with the plan's epoch and revision: a driver that is
 * started again finds them there, and traffic never notices.
 */

import { DriverError, type Plan, type PlanTarget } from "../driver.ts";
import { parseMap, parseServersState, type ServerAdmin, type ServerState } from "./stats.ts";
import { bestWeights, sharesOf } from "./weights.ts";

export const PLUG = "plug";
const FREE = "-";
const PLAN_KEY = "plan";

export type Backends = { readonly reads: string; readonly writes: string };

type Side = Omit<ServerState, "server">;

export type Slot = {
  readonly name: string;
  /** Empty: free. */
  readonly instance: string;
  readonly read: Side;
  readonly write: Side;
};

export type PoolState = {
  /** Path by which HAProxy knows the map of slots. */
  readonly map: string;
  /** Keys that are in the map: others must be added, not set. */
  readonly mapKeys: ReadonlySet<string>;
  readonly slots: readonly Slot[];
  /** Of the last whole plan; both 0 when HAProxy has had none since it started. */
  readonly epoch: number;
  readonly revision: number;
};

export function parsePoolState(answers: {
  map: string;
  slots: string;
  reads: string;
  writes: string;
}): PoolState {
  const entries = parseMap(answers.slots);
  const writes = new Map(parseServersState(answers.writes).map((server) => [server.server, server]));
  const slots: Slot[] = [];
  for (const { server: name, ...read } of parseServersState(answers.reads)) {
    const write = writes.get(name);
    if (name === PLUG || !write) continue;
    const instance = entries.get(name) ?? FREE;
    slots.push({ name, instance: instance === FREE ? "" : instance, read, write: withoutName(write) });
  }
  return { map: answers.map, mapKeys: new Set(entries.keys()), slots, ...parsePlanKey(entries) };
}

/** Epoch and revision of the last whole plan, from the map of slots. */
export function parsePlanKey(entries: ReadonlyMap<string, string>): { epoch: number; revision: number } {
  const [epoch = 0, revision = 0] = (entries.get(PLAN_KEY) ?? "").split(".").map(Number);
  return { epoch, revision };
}

function withoutName({ server: _, ...side }: ServerState): Side {
  return side;
}

/** The plan that is in force, as far as HAProxy can tell; undefined when it has had none. */
export function planOf(state: PoolState, pool: string): Plan | undefined {
  if (state.epoch === 0 && state.revision === 0) return undefined;
  const held = state.slots.filter((slot) => slot.instance !== "");
  const shares = sharesOf(held.map(({ read }) => (read.admin === "ready" ? read.weight : 0)));
  const targets = held.map(
    (slot, index): PlanTarget => ({
      instance: slot.instance,
      address: slot.read.address,
      gateAddress: slot.write.checkAddress,
      readPpm: shares[index]!,
      writes: slot.write.admin !== "maint",
      drain: slot.read.admin === "drain",
    }),
  );
  return { pool, epoch: state.epoch, revision: state.revision, targets };
}

export type Command = {
  readonly text: string;
  /** HAProxy says nothing when it obeyed, except where it tells what changed. */
  readonly says: "nothing" | "change";
};

export type Change = {
  readonly commands: readonly Command[];
  readonly next: PoolState;
  readonly setPpm: readonly number[];
  /** Write slots that were closed: what is still in work there is cut a little later. */
  readonly closedWrites: readonly string[];
};

type Wanted = { readonly target: PlanTarget; readonly slot: Slot; readonly weight: number };

/** Throws DriverError "no-slot" when the plan has more targets than there are slots. */
export function changeTo(state: PoolState, plan: Plan, backends: Backends): Change {
  const { weights, setPpm } = bestWeights(plan.targets.map((target) => (target.drain ? 0 : target.readPpm)));
  const slots = assignSlots(state, plan);
  const wanted = plan.targets.map((target, index) => ({
    target,
    slot: slots[index]!,
    weight: weights[index]!,
  }));
  const next = nextState(state, plan, wanted);
  const commands: Command[] = [];
  const closedWrites: string[] = [];
  // Close writes first: there must be no moment with two open write targets.
  for (const [index, { name, write }] of state.slots.entries()) {
    if (write.admin === "maint" || next.slots[index]!.write.admin !== "maint") continue;
    commands.push({ text: `set server ${backends.writes}/${name} state maint`, says: "nothing" });
    closedWrites.push(name);
  }
  const pairs = state.slots.map((before, index) => ({ before, after: next.slots[index]! }));
  for (const pair of pairs) commands.push(...fillSlot(state, pair, backends));
  for (const { before, after } of pairs) {
    if (after.write.admin !== "maint")
      commands.push(...setSide(before.write, after.write, `${backends.writes}/${after.name}`));
  }
  // Let read targets in before others go out: there must be no moment without one.
  const opens = ({ before, after }: Pair) => isOpen(after.read) && !isOpen(before.read);
  for (const { before, after } of pairs.toSorted((a, b) => Number(opens(b)) - Number(opens(a)))) {
    commands.push(...setSide(before.read, after.read, `${backends.reads}/${after.name}`));
  }
  commands.push(setMap(state, PLAN_KEY, `${plan.epoch}.${plan.revision}`));
  return { commands, next, setPpm, closedWrites };
}

/** An instance keeps its slot; a new one takes the first free one, and only then one that this plan frees. */
function assignSlots(state: PoolState, plan: Plan): Slot[] {
  const stays = new Set(plan.targets.map((target) => target.instance));
  const free = state.slots.filter((slot) => !stays.has(slot.instance));
  free.sort((a, b) => Number(a.instance !== "") - Number(b.instance !== ""));
  return plan.targets.map((target) => {
    const slot = state.slots.find(({ instance }) => instance === target.instance) ?? free.shift();
    if (slot) return slot;
    throw new DriverError(
      "no-slot",
      `haproxy: ${plan.targets.length} targets for ${state.slots.length} slots of pool ${plan.pool}`,
    );
  });
}

function nextState(state: PoolState, plan: Plan, wanted: readonly Wanted[]): PoolState {
  const bySlot = new Map(wanted.map((one) => [one.slot.name, one]));
  const slots = state.slots.map((slot): Slot => {
    const one = bySlot.get(slot.name);
    if (!one) {
      return {
        ...slot,
        instance: "",
        read: { ...slot.read, admin: "maint" },
        write: { ...slot.write, admin: "maint" },
      };
    }
    const { target, weight } = one;
    const openAs = (open: boolean): ServerAdmin => (open ? (target.drain ? "drain" : "ready") : "maint");
    return {
      name: slot.name,
      instance: target.instance,
      read: { ...slot.read, address: target.address, weight, admin: openAs(true) },
      write: {
        ...slot.write,
        address: target.address,
        checkAddress: target.gateAddress,
        admin: openAs(target.writes),
      },
    };
  });
  const mapKeys = new Set([
    ...state.mapKeys,
    PLAN_KEY,
    ...slots.filter((slot) => slot.instance !== "").map((slot) => slot.name),
  ]);
  return { map: state.map, mapKeys, slots, epoch: plan.epoch, revision: plan.revision };
}

type Pair = { readonly before: Slot; readonly after: Slot };

/** Names, addresses: everything that makes no traffic flow yet. */
function fillSlot(state: PoolState, { before, after }: Pair, backends: Backends): Command[] {
  const commands: Command[] = [];
  if (before.instance !== after.instance) commands.push(setMap(state, after.name, after.instance || FREE));
  if (before.read.address !== after.read.address)
    commands.push(setAddress(`${backends.reads}/${after.name}`, "addr", after.read.address));
  if (before.write.address !== after.write.address)
    commands.push(setAddress(`${backends.writes}/${after.name}`, "addr", after.write.address));
  if (before.write.checkAddress !== after.write.checkAddress && after.write.checkAddress !== "") {
    commands.push(setAddress(`${backends.writes}/${after.name}`, "check-addr", after.write.checkAddress));
  }
  return commands;
}

/**
 * Weight and state of one server. One that is let in counts as healthy until its own checks or traffic say otherwise; it is
 * called down and up because only that edge makes HAProxy hand it the requests that wait: after a mere change of weight
 * they would wait on, and all new ones behind them (measured on 2.6.12).
 */
function setSide(before: Side, after: Side, server: string): Command[] {
  const commands: Command[] = [];
  const say = (what: string) => commands.push({ text: `set server ${server} ${what}`, says: "nothing" });
  const moved = before.address !== after.address;
  if (after.weight !== before.weight) say(`weight ${after.weight}`);
  if (after.admin !== before.admin) say(`state ${after.admin}`);
  if (isOpen(after) && (moved || !isOpen(before))) {
    say("health down");
    say("health up");
  }
  return commands;
}

function isOpen({ admin, weight }: Side): boolean {
  return admin === "ready" && weight > 0;
}

function setAddress(server: string, what: "addr" | "check-addr", address: string): Command {
  const at = address.lastIndexOf(":");
  const text = `set server ${server} ${what} ${address.slice(0, at)} port ${address.slice(at + 1)}`;
  return { text, says: what === "addr" ? "change" : "nothing" };
}

function setMap(state: PoolState, key: string, value: string): Command {
  return {
    text: `${state.mapKeys.has(key) ? "set" : "add"} map ${state.map} ${key} ${value}`,
    says: "nothing",
  };
}
