/** The store of a simulated world: the real rules, an outage, a loss of memory; and what must hold of every commit. */

import assert from "node:assert/strict";
import * as rules from "@understudy/state/rules";
import type { Authority, Outcome } from "@understudy/state/store";
import type { Effect, Event, StoreCall } from "../events.ts";

const CLAIM_TTL_MS = 5000;

export type StoreEffect = Extract<
  Effect,
  { kind: "read-store" | "claim" | "abandon" | "commit" | "renew" | "set-in-sync" | "save" }
>;

export type SimulatedStore = {
  /** Undefined: it is away. `sentBootMs`: when it was asked. */
  answer(effect: StoreEffect, sentBootMs: number): Event | undefined;
  authority(): Authority;
  setAway(away: boolean): void;
  isAway(): boolean;
  wipe(): void;
  /** Keeps what it holds now, for `restore`. */
  backup(): void;
  restore(): void;
  recover(epoch: number): void;
};

export function callOf(effect: Exclude<StoreEffect, { kind: "abandon" }>): StoreCall {
  return effect.kind === "read-store" ? "read" : effect.kind;
}

export function simulateStore(resource: string, host: string, bootMs: () => number): SimulatedStore {
  let kept = rules.emptyKept(resource);
  let away = false;
  let saved = kept;

  function settle<T>(ruling: rules.Ruling<T>): Outcome<T> {
    if (!ruling.saved) return { ...ruling, found: rules.authorityOf(kept, bootMs()) };
    assert.ok(ruling.kept.epoch >= kept.epoch, "an epoch never goes back");
    kept = ruling.kept;
    return { saved: true, value: ruling.value };
  }

  function commit(effect: Extract<Effect, { kind: "commit" }>): Outcome<Authority> {
    const before = kept;
    const outcome = settle(rules.commit(kept, { ...effect, coordinator: host, holder: host }, bootMs()));
    if (outcome.saved && before.primary && before.primary.instance !== effect.primary.instance) {
      const was = before.inSync.some((member) => rules.sameMember(member, effect.primary));
      assert.ok(was, "only a member of the in-sync set is promoted");
    }
    return outcome;
  }

  function answer(effect: StoreEffect, sentBootMs: number): Event | undefined {
    switch (effect.kind) {
      case "read-store":
        return { kind: "store-read", authority: rules.authorityOf(kept, bootMs()) };
      case "claim": {
        const request = { epoch: effect.epoch, coordinator: host, ttlMs: CLAIM_TTL_MS };
        return { kind: "claimed", outcome: settle(rules.claim(kept, request, bootMs())) };
      }
      case "abandon":
        kept = rules.abandon(kept, { epoch: effect.epoch, coordinator: host });
        return undefined;
      case "commit":
        return { kind: "committed", outcome: commit(effect), sentBootMs };
      case "renew": {
        const request = { epoch: effect.epoch, holder: host };
        return { kind: "renewed", outcome: settle(rules.renew(kept, request, bootMs())), sentBootMs };
      }
      case "set-in-sync": {
        const outcome = settle(rules.setInSync(kept, effect));
        return { kind: "in-sync-saved", members: effect.members, outcome };
      }
      case "save": {
        const outcome = settle(rules.savePosition(kept, effect));
        return { kind: "saved", position: effect.position, outcome };
      }
    }
  }

  return {
    answer: (effect, sentBootMs) => (away ? undefined : answer(effect, sentBootMs)),
    authority: () => rules.authorityOf(kept, bootMs()),
    isAway: () => away,
    setAway: (value) => {
      away = value;
    },
    wipe: () => {
      kept = rules.emptyKept(resource);
    },
    backup: () => {
      saved = kept;
    },
    restore: () => {
      kept = saved;
    },
    recover: (epoch) => {
      kept = rules.recover(kept, { epoch });
    },
  };
}
