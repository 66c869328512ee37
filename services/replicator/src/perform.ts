/** Each effect of the core -> one call on the store, the mirror, a driver or the bus, answered by an event. */

import type { Clock } from "@understudy/model/clock";
import type { Member, Store } from "@understudy/state/store";
import type { Answer, Effect, Event, StoreCall } from "./events.ts";
import type { Folders } from "./folders.ts";
import type { Gates } from "./gate.ts";
import type { Elsewhere } from "./hosts/elsewhere.ts";
import type { Instances } from "./instances.ts";
import type { Mirrors } from "./mirrors.ts";
import type { Kept } from "./record.ts";
import type { RecordFile } from "./record-file.ts";
import type { ResourceState } from "./resource-state.ts";

/** Longer than a failover may take; another coordinator waits no longer than this for a dead one. */
const CLAIM_TTL_MIN_MS = 5000;
/** A holder whose end is not confirmed is waited out under the claim: it must not expire before the lease. */
const CLAIM_TTL_LEASES = 2;
/** A program looks at its role order before and after a write: what began before the order ends within this. */
const WRITES_SETTLE_MS = 30;

export type Performer = (effect: Effect) => void;

export type PerformParts = {
  readonly resource: string;
  readonly host: string;
  readonly state: () => ResourceState;
  readonly post: (event: Event) => void;
  readonly clock: Clock;
  readonly store: Store;
  readonly mirrors: Mirrors;
  readonly instances: Instances;
  readonly elsewhere: Elsewhere;
  readonly gates: Gates;
  readonly folders: Folders;
  readonly record: RecordFile;
  readonly publish: (effect: Extract<Effect, { kind: "publish-roles" | "announce" }>) => void;
  readonly answer: (id: number, answer: Answer) => void;
  readonly onError: (error: Error) => void;
};

export function createPerformer(parts: PerformParts): Performer {
  const store = storeCalls(parts);
  const instance = instanceCalls(parts);
  const { post, gates } = parts;
  /** For what nobody waits for. */
  const unanswered = (work: Promise<unknown>) => void work.catch(parts.onError);
  return (effect) => {
    switch (effect.kind) {
      case "read-store":
      case "claim":
      case "commit":
      case "renew":
      case "set-in-sync":
      case "save":
        return store(effect);
      case "abandon":
        return unanswered(
          parts.store.abandon({ resource: parts.resource, epoch: effect.epoch, coordinator: parts.host }),
        );
      case "fence":
      case "stop-writes":
      case "promote":
      case "open-primary":
      case "open-shadow":
      case "start":
      case "end":
      case "remove":
        return instance(effect);
      case "salvage":
        return salvage(parts, effect);
      case "ask-promises":
        return askPromises(parts, effect);
      case "hand-over":
        return unanswered(handOver(parts, effect.host));
      case "dismiss":
        return unanswered(parts.elsewhere.remove(effect.host, effect.member));
      case "watch":
        return parts.instances.watch(effect.running);
      case "set-role":
        return unanswered(parts.instances.setRole(effect.member, effect.order));
      case "open-gate":
        return unanswered(
          gates.open(effect.instance, effect.address).then((address) => {
            post({ kind: "gate-opened", instance: effect.instance, address });
          }),
        );
      case "close-gate":
        return gates.close(effect.instance);
      case "keep":
        return keep(parts, effect.kept);
      case "publish-roles":
      case "announce":
        return parts.publish(effect);
      case "answer":
        return parts.answer(effect.id, effect.answer);
    }
  };
}

/** A disk that takes no record takes no state either; the store still has who is primary. */
function keep({ record, onError }: PerformParts, kept: Kept): void {
  try {
    record.keep(kept);
  } catch (error) {
    onError(new Error("the record cannot be kept: a restart may not know what runs", { cause: error }));
  }
}

type StoreEffect = Extract<
  Effect,
  { kind: "read-store" | "claim" | "commit" | "renew" | "set-in-sync" | "save" }
>;

function storeCalls({
  store,
  resource,
  host,
  clock,
  post,
  state,
}: PerformParts): (effect: StoreEffect) => void {
  async function call(effect: StoreEffect): Promise<Event> {
    const sentBootMs = clock.bootMs();
    switch (effect.kind) {
      case "read-store":
        return { kind: "store-read", authority: await store.read(resource) };
      case "claim": {
        const ttlMs = Math.max(CLAIM_TTL_MIN_MS, CLAIM_TTL_LEASES * state().spec.lease.durationMs);
        const request = { resource, epoch: effect.epoch, coordinator: host, ttlMs };
        return { kind: "claimed", outcome: await store.claim(request) };
      }
      case "commit": {
        const { epoch, primary, inSync, leaseMs } = effect;
        const holder = effect.holder || host;
        const request = { resource, epoch, coordinator: host, primary, holder, leaseMs, inSync };
        return { kind: "committed", outcome: await store.commit(request), sentBootMs };
      }
      case "renew":
        return {
          kind: "renewed",
          outcome: await store.renew({ resource, epoch: effect.epoch, holder: host }),
          sentBootMs,
        };
      case "set-in-sync": {
        const { epoch, revision, members } = effect;
        return {
          kind: "in-sync-saved",
          members,
          outcome: await store.setInSync({ resource, epoch, revision, members }),
        };
      }
      case "save": {
        const outcome = await store.savePosition({ resource, position: effect.position });
        // A shadow's own state is for people: one that is refused is merely older than what is known.
        await Promise.all(effect.shadows.map((shadow) => store.saveShadow({ resource, ...shadow })));
        return { kind: "saved", position: effect.position, outcome };
      }
    }
  }
  return (effect) => {
    const name: StoreCall = effect.kind === "read-store" ? "read" : effect.kind;
    call(effect).then(post, (error: Error) => post({ kind: "store-failed", call: name, why: error.message }));
  };
}

type InstanceEffect = Extract<
  Effect,
  { kind: "fence" | "stop-writes" | "promote" | "open-primary" | "open-shadow" | "start" | "end" | "remove" }
>;

function instanceCalls(parts: PerformParts): (effect: InstanceEffect) => void {
  const { post, mirrors, instances, folders } = parts;
  /** The host that keeps it; empty: this one. */
  const hostOf = ({ instance, incarnation }: Member) =>
    parts.state().instances.find((each) => each.name === instance && each.incarnation === incarnation)
      ?.host ?? "";
  async function call(effect: InstanceEffect): Promise<Event | undefined> {
    const { member } = effect;
    const host = hostOf(member);
    if (host !== "") return callElsewhere(parts, { effect, host });
    switch (effect.kind) {
      case "fence":
        return { kind: "fenced", instance: member.instance, result: await instances.fence(member) };
      case "stop-writes":
        await instances.setRole(member, effect.order);
        await new Promise((resolve) => setTimeout(resolve, WRITES_SETTLE_MS));
        return {
          kind: "fenced",
          instance: member.instance,
          result: { confirmed: true, how: "told to stop writing" },
        };
      case "promote":
        return promote(parts, effect);
      case "open-primary":
        return (await mirrors.openPrimary(member, effect)) ? { kind: "primary-opened", member } : undefined;
      case "open-shadow":
        await mirrors.openShadow(member);
        return { kind: "shadow-opened", member };
      case "start":
        return { kind: "started", member, running: await instances.start(member, effect.order) };
      case "end":
        return end(parts, effect);
      case "remove":
        await mirrors.close(member.instance);
        await instances.stop(member);
        await folders.remove(member.instance);
        return { kind: "removed", member };
    }
  }
  return (effect) => {
    const what = effect.kind.replace("-", " ");
    call(effect).then(
      (event) => event && post(event),
      (error: Error) => post({ kind: "failed", member: effect.member, what, why: reasonOf(error) }),
    );
  };
}

/** The same verbs, of the replicator of the host that keeps it. Who is primary is always here. */
async function callElsewhere(
  { elsewhere, mirrors }: PerformParts,
  { effect, host }: { effect: InstanceEffect; host: string },
): Promise<Event | undefined> {
  const { member } = effect;
  switch (effect.kind) {
    case "open-shadow":
      await mirrors.feedElsewhere(member, await elsewhere.open(host, member));
      return { kind: "shadow-opened", member };
    case "start":
      return { kind: "started", member, running: await elsewhere.start(host, member) };
    case "end":
      await mirrors.close(member.instance);
      await elsewhere.end(host, member);
      return { kind: "ended", member };
    case "remove":
      await mirrors.close(member.instance);
      await elsewhere.remove(host, member);
      return { kind: "removed", member };
    case "fence":
    case "stop-writes":
    case "promote":
    case "open-primary":
      throw new Error(`${member.instance} is kept by ${host}: it is not for us to ${effect.kind} it`);
  }
}

/** One host that does not answer, or will not, is enough: it may be about to lead. */
function askPromises(
  { elsewhere, clock, post }: PerformParts,
  { hosts, leaseMs }: Extract<Effect, { kind: "ask-promises" }>,
): void {
  const sentBootMs = clock.bootMs();
  Promise.all(hosts.map((host) => elsewhere.promise(host, leaseMs))).then(
    () => post({ kind: "promises", given: true, sentBootMs }),
    () => post({ kind: "promises", given: false, sentBootMs }),
  );
}

/** It finds out by itself as well; told, it takes over at once. */
async function handOver({ mirrors, elsewhere }: PerformParts, host: string): Promise<void> {
  // Both at once: its end is taken from our primary end the moment it turns it around.
  await Promise.all([elsewhere.lookAtStore(host), mirrors.handOver()]);
}

/** By now the epoch is in the record: after a crash its old primary is not told again that it may write. */
async function promote(
  { mirrors, instances, state }: PerformParts,
  { member, epoch, order }: Extract<Effect, { kind: "promote" }>,
): Promise<Event> {
  const known = { ...(state().authority?.position ?? state().sealed) };
  await instances.place(member);
  const position = await mirrors.turn(member, { epoch, known });
  await instances.setRole(member, order);
  return { kind: "promoted", member, epoch, position };
}

async function end(
  { mirrors, instances }: PerformParts,
  { member }: Extract<Effect, { kind: "end" }>,
): Promise<Event> {
  const result = await instances.fence(member);
  if (!result.confirmed) throw new Error(`it may still run: ${result.why}`);
  await mirrors.close(member.instance);
  return { kind: "ended", member };
}

function salvage(
  { mirrors, post, onError }: PerformParts,
  effect: Extract<Effect, { kind: "salvage" }>,
): void {
  const answer = (complete: boolean) => post({ kind: "salvaged", complete, seen: mirrors.progress() });
  mirrors.salvage(effect.instances, effect.withinMs).then(answer, (error: Error) => {
    onError(error);
    answer(false);
  });
}

function reasonOf(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${reasonOf(error.cause)}` : error.message;
}
