/** The store in this process: for tests and simulations. Its clock is passed in; `away` makes it unreachable. */

import type { Epoch } from "@understudy/model/position";
import * as rules from "./rules.ts";
import { type Authority, type Outcome, type ShadowRecord, type Store, StoreError } from "./store.ts";

export type MemoryStore = Store & {
  /** From now on every call throws StoreError "unreachable", until set to false. */
  setAway(away: boolean): void;
  /** What a restore from nothing leaves. */
  wipe(): void;
};

export function memoryStore({ nowMs }: { nowMs: () => number }): MemoryStore {
  const resources = new Map<string, rules.Kept>();
  const shadows = new Map<string, ShadowRecord>();
  let away = false;
  let closed = false;

  function keptOf(resource: string): rules.Kept {
    if (closed) throw new StoreError("closed", "memory store: closed");
    if (away) throw new StoreError("unreachable", "memory store: away");
    return resources.get(resource) ?? rules.emptyKept(resource);
  }
  function settle<T>(kept: rules.Kept, ruling: rules.Ruling<T>): Outcome<T> {
    if (!ruling.saved) return { ...ruling, found: rules.authorityOf(kept, nowMs()) };
    resources.set(kept.resource, ruling.kept);
    return { saved: true, value: ruling.value };
  }
  function change<T>(resource: string, rule: (kept: rules.Kept) => rules.Ruling<T>): Outcome<T> {
    const kept = keptOf(resource);
    return settle(kept, rule(kept));
  }

  return {
    read: async (resource): Promise<Authority> => rules.authorityOf(keptOf(resource), nowMs()),
    claim: async (request) => change(request.resource, (kept) => rules.claim(kept, request, nowMs())),
    abandon: async (request) => {
      resources.set(request.resource, rules.abandon(keptOf(request.resource), request));
    },
    commit: async (request) => change(request.resource, (kept) => rules.commit(kept, request, nowMs())),
    renew: async (request) => change(request.resource, (kept) => rules.renew(kept, request, nowMs())),
    setInSync: async (request) => change(request.resource, (kept) => rules.setInSync(kept, request)),
    savePosition: async (request) => change(request.resource, (kept) => rules.savePosition(kept, request)),
    saveShadow: async ({ resource, member, position }) => {
      const key = `${resource}/${member.instance}`;
      const kept = keptOf(resource);
      const why = rules.refuseShadow(kept, shadows.get(key), { member, position });
      if (why) return { saved: false, why, found: rules.authorityOf(kept, nowMs()) };
      shadows.set(key, { member, position });
      return { saved: true, value: position };
    },
    readShadow: async (resource, instance) => {
      keptOf(resource);
      return shadows.get(`${resource}/${instance}`);
    },
    recover: async (request: { resource: string; epoch: Epoch }) => {
      const kept = rules.recover(keptOf(request.resource), request);
      resources.set(request.resource, kept);
      return rules.authorityOf(kept, nowMs());
    },
    checkDurability: async () => {
      keptOf("");
    },
    close: async () => {
      closed = true;
    },
    setAway: (value) => {
      away = value;
    },
    wipe: () => {
      resources.clear();
      shadows.clear();
    },
  };
}
