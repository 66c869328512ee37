/**
 * A small world around the core, for its tests: a store that keeps the real rules, processes that obey their role orders, a
 * mirror that is as far as it is told to be, and a clock. Effects take time and are answered like the shell's; what must
 * never happen is checked after every step.
 */

import assert from "node:assert/strict";
import type { ResourceSpec } from "@understudy/model/policy";
import type { Version } from "@understudy/model/position";
import type { Member } from "@understudy/state/store";
import { decide } from "../decide.ts";
import type { Effect, Event } from "../events.ts";
import { awaited } from "../membership.ts";
import type { Kept } from "../record.ts";
import { find, newResource, type ResourceState } from "../resource-state.ts";
import { lineOf } from "./effect-lines.ts";
import { simulateMirror } from "./mirror.ts";
import { simulateProcesses } from "./processes.ts";
import { callOf, simulateStore } from "./store.ts";
import { createTimeline } from "./timeline.ts";

const HOST = "host-a";
const TICK_MS = 50;
const PULSE_MS = 5;
const STORE_TIMEOUT_MS = 100;
const READY_MS = 500;

/** How long each effect takes, unless a scenario slows it down. */
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
  "hand-over": 1,
  dismiss: 1,
  "ask-promises": 1,
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

export type World = ReturnType<typeof createWorld>;

export function createWorld(spec: ResourceSpec, log: (line: string) => void = () => undefined) {
  const timeline = createTimeline();
  const bootMs = () => timeline.at().bootMs;
  const store = simulateStore(spec.name, HOST, bootMs);
  const processes = simulateProcesses(spec.name);
  const mirror = simulateMirror(bootMs);
  let state: ResourceState = newResource(spec, HOST);
  let up = false;
  let kept: Kept | undefined;
  let slowMs: Partial<Record<Effect["kind"], number>> = {};
  /** The highest version that a Barrier has acknowledged. */
  let acknowledged: Version = 0;
  let lastLine = "";

  function post(event: Event | undefined): void {
    processes.check(bootMs());
    if (!event || !up) return;
    const { next, effects } = decide(state, event, timeline.at());
    state = next;
    for (const effect of effects) {
      const line = lineOf(effect);
      if (line && line !== lastLine) log(line);
      lastLine = line ?? lastLine;
      perform(effect);
    }
  }

  function perform(effect: Effect): void {
    if (effect.kind === "claim")
      assert.equal(state.store.phase, "reachable", "claims need a reachable store");
    if (effect.kind === "keep") kept = effect.kept;
    const sentBootMs = bootMs();
    timeline.after(slowMs[effect.kind] ?? LATENCY_MS[effect.kind], () => post(outcomeOf(effect, sentBootMs)));
  }

  function outcomeOf(effect: Effect, sentBootMs: number): Event | undefined {
    switch (effect.kind) {
      case "abandon":
        return store.answer(effect, sentBootMs);
      case "read-store":
      case "claim":
      case "commit":
      case "renew":
      case "set-in-sync":
      case "save":
        return store.isAway() ? noAnswer(effect) : store.answer(effect, sentBootMs);
      case "fence":
        return { kind: "fenced", instance: effect.member.instance, result: processes.fence(effect.member) };
      case "stop-writes": {
        processes.giveRole(effect.member, effect.order);
        return {
          kind: "fenced",
          instance: effect.member.instance,
          result: { confirmed: true, how: "asked" },
        };
      }
      case "salvage":
        return { kind: "salvaged", complete: mirror.salvage(effect.instances), seen: mirror.seen() };
      case "promote":
        return promote(effect);
      case "open-primary":
        mirror.openPrimary(effect.member, effect);
        return { kind: "primary-opened", member: effect.member };
      case "open-shadow":
        mirror.openShadow(effect.member);
        return { kind: "shadow-opened", member: effect.member };
      case "start":
        return start(effect);
      case "set-role":
        processes.giveRole(effect.member, effect.order);
        return undefined;
      case "open-gate":
        return { kind: "gate-opened", instance: effect.instance, address: `gate-${effect.instance}` };
      case "end":
        letGo(effect.member);
        return { kind: "ended", member: effect.member };
      case "remove":
        letGo(effect.member);
        mirror.removeFolder(effect.member.instance);
        return { kind: "removed", member: effect.member };
      case "keep":
      case "watch":
      case "hand-over":
      case "dismiss":
      case "ask-promises":
      case "close-gate":
      case "publish-roles":
      case "announce":
      case "answer":
        return undefined;
    }
  }

  function noAnswer(effect: Parameters<typeof callOf>[0]): undefined {
    const failed: Event = { kind: "store-failed", call: callOf(effect), why: "unreachable" };
    timeline.after(STORE_TIMEOUT_MS, () => post(failed));
  }

  function promote({ member, epoch, order }: Extract<Effect, { kind: "promote" }>): Event {
    const { version, ...rest } = mirror.turn(member.instance);
    assert.ok(version >= acknowledged, `an acknowledged write is lost: ${version} < ${acknowledged}`);
    processes.giveRole(member, order);
    return { kind: "promoted", member, epoch, position: { ...rest, epoch, version } };
  }

  function start({ member, order }: Extract<Effect, { kind: "start" }>): Event {
    const running = processes.start(member, order);
    timeline.after(READY_MS, () => post(processes.isAlive(member) ? { kind: "ready", member } : undefined));
    return { kind: "started", member, running };
  }

  function letGo(member: Member): void {
    processes.fence(member);
    mirror.close(member.instance);
  }

  function pulse(): void {
    mirror.flow();
    const seen = mirror.seen();
    if (seen) post({ kind: "progress", ...seen });
    if (bootMs() % TICK_MS === 0) post({ kind: "tick" });
  }

  return {
    state: () => state,
    store: store.authority,
    bootMs,
    processes: processes.all,
    post,
    begin(): void {
      up = true;
      const alive = processes.all().filter((each) => each.alive);
      post({ kind: "adopted", kept, running: alive.map((each) => each.running) });
    },
    /** Lets time pass, with ticks and progress as they come. */
    run(ms: number): void {
      for (const untilMs = bootMs() + ms; bootMs() < untilMs; ) {
        timeline.advanceTo(bootMs() + PULSE_MS);
        pulse();
      }
    },
    /** A write that nobody waits for. */
    write: mirror.write,
    /** A Barrier, asked now: true when it may answer. */
    barrier(): boolean {
      const seen = mirror.seen();
      if (!up || !seen || state.takeover.step !== "idle") return false;
      if ((state.authority?.inSync ?? []).length === 0 || !awaited(state).every(mirror.has)) return false;
      acknowledged = Math.max(acknowledged, seen.sealed.version);
      return true;
    },
    kill(name: string): void {
      const process = processes.all().find((each) => each.alive && each.running.instance === name);
      if (!process) return;
      process.alive = false;
      const { instance, incarnation } = process.running;
      timeline.after(1, () => post({ kind: "exited", member: { instance, incarnation }, detail: "SIGKILL" }));
    },
    /** It is alive but neither answers nor can be killed from here. */
    isolate(name: string): void {
      for (const each of processes.all()) if (each.running.instance === name) each.fenceable = false;
      const incarnation = find(state, name)?.incarnation ?? "";
      const evidence = [{ signal: "tcp" as const, alive: false, detail: "no answer", ageMs: 0 }];
      const about = { resource: spec.name, instance: name, incarnation, sinceMs: timeline.at().nowMs };
      post({ kind: "verdict", verdict: { ...about, evidence, state: "down" } });
    },
    lag: mirror.setLagging,
    setStoreAway: store.setAway,
    wipeStore: store.wipe,
    backUpStore: store.backup,
    restoreStore: store.restore,
    recoverStore: store.recover,
    slow(kind: Effect["kind"], ms: number | undefined): void {
      slowMs = ms === undefined ? {} : { ...slowMs, [kind]: ms };
    },
    /** kill -9 of the replicator: what was under way is gone, instances run on. */
    crash(): void {
      up = false;
      timeline.forget();
      mirror.crash();
      state = newResource(spec, HOST);
    },
  };
}
