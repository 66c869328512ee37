/**
 * A small world around the core, for its tests: a store that keeps the real rules, processes that obey their role orders, a
 * mirror that is as far as it is told to be, and a clock. Effects take time and are answered like the shell's; what must
 * never happen is checked after every step.
 */

import assert from "node:assert/strict";
import type { ShadowProgress } from "@understudy/mirror/engine";
import type { ResourceSpec } from "@understudy/model/policy";
import { POSITION_ZERO, type Position, type Version } from "@understudy/model/position";
import type { RoleOrder, RunningInstance } from "@understudy/resource/driver";
import * as rules from "@understudy/state/rules";
import type { Authority, Member, Outcome } from "@understudy/state/store";
import { decide } from "./decide.ts";
import type { Effect, Event } from "./events.ts";
import { awaited } from "./membership.ts";
import type { Kept } from "./record.ts";
import { find, newResource, type ResourceState, reached } from "./resource-state.ts";

const TICK_MS = 50;
const STEP_MS = 5;
const STORE_TIMEOUT_MS = 100;

/** How long each effect takes; a scenario may slow one down. */
const LATENCY_MS: Record<Effect["kind"], number> = {
  "read-store": 1,
  claim: 1,
  abandon: 1,
  commit: 1,
  renew: 1,
  "set-in-sync": 1,
  save: 1,
  fence: 3,
  "stop-writes": 3,
  salvage: 5,
  promote: 5,
  "open-primary": 10,
  "open-shadow": 10,
  start: 50,
  watch: 0,
  "open-gate": 1,
  "close-gate": 0,
  "set-role": 0,
  end: 5,
  remove: 5,
  keep: 0,
  "publish-roles": 0,
  announce: 0,
  answer: 0,
};
const SEED_MS = 100;
const READY_MS = 500;

type Process = { running: RunningInstance; alive: boolean; order: RoleOrder; fenceable: boolean };
type Shadow = { member: Member; durable: Position; openedMs: number; lagging: boolean };
type Due = { readonly atMs: number; readonly order: number; readonly run: () => Event | undefined };

export type World = ReturnType<typeof createWorld>;

export function createWorld(spec: ResourceSpec, log: (line: string) => void = () => undefined) {
  let nowMs = 1_700_000_000_000;
  let bootMs = 1_000_000;
  let state: ResourceState = newResource(spec, "host-a");
  let up = false;
  let kept: Kept | undefined;
  let store: rules.Kept = rules.emptyKept(spec.name);
  let storeAway = false;
  let sealed: Position = POSITION_ZERO;
  let primaryEnd: Member | undefined;
  /** Per folder: the newest position on its disk. */
  const disks = new Map<string, Position>();
  const ends = new Map<string, Shadow>();
  const processes = new Map<string, Process>();
  const answers = new Map<number, string>();
  let queue: Due[] = [];
  let scheduled = 0;
  let slowMs: Partial<Record<Effect["kind"], number>> = {};
  /** The highest version that a Barrier has acknowledged. */
  let acknowledged: Version = 0;
  let lastLine = "";

  const at = () => ({ nowMs, bootMs });
  const keyOf = (member: Member) => `${member.instance}/${member.incarnation}`;

  function after(ms: number, run: () => Event | undefined): void {
    scheduled += 1;
    queue.push({ atMs: bootMs + ms, order: scheduled, run });
  }

  function post(event: Event): void {
    const { next, effects } = decide(state, event, at());
    state = next;
    for (const effect of effects) {
      const line = lineOf(effect);
      if (line && line !== lastLine) log(line);
      lastLine = line ?? lastLine;
      perform(effect);
    }
    check();
  }

  function perform(effect: Effect): void {
    if (effect.kind === "claim")
      assert.equal(state.store.phase, "reachable", "claims need a reachable store");
    const event = () => outcomeOf(effect);
    after(slowMs[effect.kind] ?? LATENCY_MS[effect.kind], event);
  }

  function outcomeOf(effect: Effect): Event | undefined {
    const sentBootMs = bootMs - LATENCY_MS[effect.kind];
    switch (effect.kind) {
      case "read-store":
        return asked("read", () => ({ kind: "store-read", authority: rules.authorityOf(store, bootMs) }));
      case "claim":
        return asked("claim", () => {
          const request = { epoch: effect.epoch, coordinator: "host-a", ttlMs: 5000 };
          return { kind: "claimed", outcome: settle(rules.claim(store, request, bootMs)) };
        });
      case "abandon":
        if (!storeAway) store = rules.abandon(store, { epoch: effect.epoch, coordinator: "host-a" });
        return undefined;
      case "commit":
        return asked("commit", () => committed(effect, sentBootMs));
      case "renew":
        return asked("renew", () => {
          const outcome = settle(rules.renew(store, { epoch: effect.epoch, holder: "host-a" }, bootMs));
          return { kind: "renewed", outcome, sentBootMs };
        });
      case "set-in-sync":
        return asked("set-in-sync", () => {
          return {
            kind: "in-sync-saved",
            members: effect.members,
            outcome: settle(rules.setInSync(store, effect)),
          };
        });
      case "save":
        return asked("save", () => {
          const outcome = settle(rules.savePosition(store, effect));
          return { kind: "saved", position: effect.position, outcome };
        });
      case "fence":
        return fence(effect.member);
      case "stop-writes":
        giveRole(effect.member, effect.order);
        return {
          kind: "fenced",
          instance: effect.member.instance,
          result: { confirmed: true, how: "asked" },
        };
      case "salvage":
        return salvage(effect.instances);
      case "promote":
        return promote(effect);
      case "open-primary":
        primaryEnd = effect.member;
        sealed = { ...effect.from, epoch: effect.epoch };
        return { kind: "primary-opened", member: effect.member };
      case "open-shadow":
        ends.set(effect.member.instance, {
          member: effect.member,
          durable: disks.get(effect.member.instance) ?? POSITION_ZERO,
          openedMs: bootMs,
          lagging: false,
        });
        return { kind: "shadow-opened", member: effect.member };
      case "start":
        return start(effect.member, effect.order);
      case "set-role":
        giveRole(effect.member, effect.order);
        return undefined;
      case "open-gate":
        return { kind: "gate-opened", instance: effect.instance, address: `gate-${effect.instance}` };
      case "end":
      case "remove":
        return letGo(effect);
      case "keep":
        kept = effect.kept;
        return undefined;
      case "answer":
        answers.set(effect.id, effect.answer.done ? "done" : effect.answer.why);
        return undefined;
      case "watch":
      case "close-gate":
      case "publish-roles":
      case "announce":
        return undefined;
    }
  }

  function asked(
    call: "read" | "claim" | "commit" | "renew" | "set-in-sync" | "save",
    answer: () => Event,
  ): Event | undefined {
    if (!storeAway) return answer();
    after(STORE_TIMEOUT_MS, () => ({ kind: "store-failed", call, why: "unreachable" }));
    return undefined;
  }

  function settle<T>(ruling: rules.Ruling<T>): Outcome<T> {
    if (!ruling.saved) return { ...ruling, found: rules.authorityOf(store, bootMs) };
    assert.ok(ruling.kept.epoch >= store.epoch, "an epoch never goes back");
    store = ruling.kept;
    return { saved: true, value: ruling.value };
  }

  function committed(effect: Extract<Effect, { kind: "commit" }>, sentBootMs: number): Event {
    const before = store;
    const request = { ...effect, coordinator: "host-a", holder: "host-a" };
    const outcome: Outcome<Authority> = settle(rules.commit(store, request, bootMs));
    if (outcome.saved && before.primary && before.primary.instance !== effect.primary.instance) {
      const was = before.inSync.some((member) => rules.sameMember(member, effect.primary));
      assert.ok(was, "only a member of the in-sync set is promoted");
    }
    return { kind: "committed", outcome, sentBootMs };
  }

  function fence(member: Member): Event {
    const process = processes.get(keyOf(member));
    if (process?.alive && !process.fenceable) {
      return {
        kind: "fenced",
        instance: member.instance,
        result: { confirmed: false, why: "host unreachable" },
      };
    }
    if (process) process.alive = false;
    return { kind: "fenced", instance: member.instance, result: { confirmed: true, how: "killed" } };
  }

  function salvage(instances: readonly string[]): Event {
    const reached = instances.filter((name) => {
      const end = ends.get(name);
      if (!end || end.lagging || !primaryEnd) return false;
      end.durable = sealed;
      disks.set(name, end.durable);
      return true;
    });
    const complete = reached.length === instances.length;
    return { kind: "salvaged", complete, seen: primaryEnd && { sealed, shadows: progress() } };
  }

  function promote({ member, epoch, order }: Extract<Effect, { kind: "promote" }>): Event {
    const { version } = disks.get(member.instance) ?? POSITION_ZERO;
    assert.ok(version >= acknowledged, `an acknowledged write is lost: ${version} < ${acknowledged}`);
    ends.delete(member.instance);
    primaryEnd = undefined;
    giveRole(member, order);
    const position = { ...POSITION_ZERO, epoch, version };
    return { kind: "promoted", member, epoch, position };
  }

  function start(member: Member, order: RoleOrder): Event {
    const running: RunningInstance = {
      resource: spec.name,
      ...member,
      address: `addr-${keyOf(member)}`,
      pid: scheduled,
      pidStartTicks: 1,
    };
    processes.set(keyOf(member), { running, alive: true, order, fenceable: true });
    after(slowMs.start ?? READY_MS, () =>
      processes.get(keyOf(member))?.alive ? { kind: "ready", member } : undefined,
    );
    return { kind: "started", member, running };
  }

  function letGo(effect: Extract<Effect, { kind: "end" | "remove" }>): Event {
    const process = processes.get(keyOf(effect.member));
    if (process) process.alive = false;
    ends.delete(effect.member.instance);
    if (effect.kind === "end") return { kind: "ended", member: effect.member };
    disks.delete(effect.member.instance);
    return { kind: "removed", member: effect.member };
  }

  function giveRole(member: Member, order: RoleOrder): void {
    const process = processes.get(keyOf(member));
    if (!process) return;
    assert.ok(order.epoch >= process.order.epoch, "role orders never go back");
    process.order = order;
  }

  function progress(): ShadowProgress[] {
    return [...ends.values()].map(({ member, durable, openedMs }) => {
      const live = primaryEnd !== undefined && bootMs - openedMs >= SEED_MS;
      const counts = {
        lagMs: 0,
        lagVersions: 0,
        lagBytes: 0,
        seedBytes: 0,
        deltaBytes: 0,
        seedDoneBytes: 0,
        seedTotalBytes: 0,
      };
      return { ...member, phase: live ? "live" : "seeding", durable, visible: durable, ...counts };
    });
  }

  /** What must hold at every moment. */
  function check(): void {
    const writers = [...processes.values()].filter(
      ({ alive, order }) => alive && order.role === "primary" && bootMs < order.untilBootMs,
    );
    const names = writers.map(({ running }) => keyOf(running));
    assert.ok(writers.length <= 1, `two primaries under valid leases: ${names.join(" and ")}`);
  }

  function advanceTo(untilMs: number): void {
    for (;;) {
      queue.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      const first = queue[0];
      if (!first || first.atMs > untilMs) break;
      queue.shift();
      moveTo(Math.max(bootMs, first.atMs));
      const event = first.run();
      if (event && up) post(event);
      check();
    }
    moveTo(untilMs);
    check();
  }
  function moveTo(toMs: number): void {
    nowMs += toMs - bootMs;
    bootMs = toMs;
  }

  function pulse(): void {
    for (const end of ends.values()) {
      if (end.lagging || !primaryEnd || bootMs - end.openedMs < SEED_MS) continue;
      end.durable = sealed;
      disks.set(end.member.instance, end.durable);
    }
    if (up && primaryEnd) post({ kind: "progress", sealed, shadows: progress() });
    if (up && bootMs % TICK_MS === 0) post({ kind: "tick" });
  }

  return {
    state: () => state,
    store: () => rules.authorityOf(store, bootMs),
    bootMs: () => bootMs,
    answerTo: (id: number) => answers.get(id),
    processes: () => [...processes.values()],
    post,
    begin(): void {
      up = true;
      const running = [...processes.values()].filter(({ alive }) => alive).map((each) => each.running);
      post({ kind: "adopted", kept, running });
    },
    /** Lets time pass, with ticks and progress as they come. */
    run(ms: number): void {
      const untilMs = bootMs + ms;
      while (bootMs < untilMs) {
        advanceTo(bootMs + STEP_MS);
        pulse();
      }
    },
    /** A write that nobody waits for. */
    write(): void {
      if (!primaryEnd) return;
      sealed = { ...sealed, version: sealed.version + 1 };
      disks.set(primaryEnd.instance, sealed);
    },
    /** A Barrier, asked now: true when it may answer. */
    barrier(): boolean {
      if (!up || !primaryEnd || state.takeover.step !== "idle") return false;
      const members = awaited(state);
      const has = (member: Member) =>
        ends.get(member.instance)?.member.incarnation === member.incarnation &&
        reached(ends.get(member.instance)!.durable, sealed);
      if ((state.authority?.inSync.length ?? 0) === 0 || !members.every(has)) return false;
      acknowledged = Math.max(acknowledged, sealed.version);
      return true;
    },
    kill(name: string): void {
      const process = [...processes.values()].find((each) => each.alive && each.running.instance === name);
      if (!process) return;
      process.alive = false;
      const { instance, incarnation } = process.running;
      after(1, () => ({ kind: "exited", member: { instance, incarnation }, detail: "SIGKILL" }));
    },
    /** It is alive but neither answers nor can be killed from here. */
    isolate(name: string): void {
      for (const each of processes.values()) if (each.running.instance === name) each.fenceable = false;
      const incarnation = find(state, name)?.incarnation ?? "";
      const evidence = [{ signal: "tcp" as const, alive: false, detail: "no answer", ageMs: 0 }];
      const base = { resource: spec.name, instance: name, incarnation, sinceMs: nowMs, evidence };
      if (up) post({ kind: "verdict", verdict: { ...base, state: "down" } });
    },
    lag(name: string, lagging: boolean): void {
      const end = ends.get(name);
      if (end) end.lagging = lagging;
    },
    setStoreAway(away: boolean): void {
      storeAway = away;
    },
    wipeStore(): void {
      store = rules.emptyKept(spec.name);
    },
    recoverStore(epoch: number): void {
      store = rules.recover(store, { epoch });
    },
    slow(kind: Effect["kind"], ms: number | undefined): void {
      slowMs = ms === undefined ? {} : { ...slowMs, [kind]: ms };
    },
    /** kill -9 of the replicator: what was under way is gone, instances run on. */
    crash(): void {
      up = false;
      queue = [];
      ends.clear();
      primaryEnd = undefined;
      state = newResource(spec, "host-a");
    },
  };
}

/** One line for the effects that people review; the rest is noise in a scenario. */
export function lineOf(effect: Effect): string | undefined {
  switch (effect.kind) {
    case "claim":
    case "abandon":
      return `${effect.kind} epoch=${effect.epoch}`;
    case "commit":
      return `commit epoch=${effect.epoch} primary=${effect.primary.instance} inSync=${effect.inSync.map((each) => each.instance).join(",")}`;
    case "fence":
    case "stop-writes":
    case "open-shadow":
    case "start":
    case "end":
    case "remove":
      return `${effect.kind} ${effect.member.instance}`;
    case "salvage":
      return `salvage for ${effect.instances.join(",")} within ${effect.withinMs} ms`;
    case "promote":
      return `promote ${effect.member.instance} epoch=${effect.epoch}`;
    case "open-primary":
      return `open-primary ${effect.member.instance} from version ${effect.from.version}`;
    case "set-in-sync":
      return `set-in-sync ${effect.members.map((each) => each.instance).join(",") || "nobody"}`;
    case "publish-roles":
      return `roles epoch=${effect.roles.epoch} primary=${effect.roles.primary || "nobody"}: ${effect.roles.instances
        .map((each) => `${each.name} ${each.role} ${each.phase}`)
        .join(", ")}`;
    case "announce":
      return `"${effect.text}"`;
    case "answer":
      return `answer ${effect.id}: ${effect.answer.done ? "done" : effect.answer.why}`;
    case "read-store":
    case "renew":
    case "save":
    case "watch":
    case "open-gate":
    case "close-gate":
    case "set-role":
    case "keep":
      return undefined;
  }
}
