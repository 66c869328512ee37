/**
 * Who watches over gRPC: each watcher gets the present roles and states at once, then every change. A slow watcher gets fewer
 * of them, never old ones: what waits for it is one update per resource and per instance.
 */

import { create } from "@bufbuild/protobuf";
import { type ReplicationUpdate, ReplicationUpdateSchema } from "@understudy/wire/gen/control";
import type { ReplicationState } from "@understudy/wire/gen/replication";
import type { RoleChanged } from "@understudy/wire/gen/role";

export type WatchBoard = {
  setRoles(resource: string, roles: RoleChanged): void;
  setState(resource: string, state: ReplicationState): void;
  /** Who watches already still gets what was said of it last. */
  forget(resource: string): void;
  roles(resource: string): RoleChanged | undefined;
  states(resource: string): readonly ReplicationState[];
  /** Empty resource: all. */
  watch(resource: string, signal: AbortSignal): AsyncGenerator<ReplicationUpdate>;
};

type Watcher = { readonly resource: string; readonly waiting: Map<string, ReplicationUpdate>; wake(): void };

export function createWatchBoard(): WatchBoard {
  const roles = new Map<string, RoleChanged>();
  const states = new Map<string, Map<string, ReplicationState>>();
  const watchers = new Set<Watcher>();

  function offer(resource: string, key: string, update: ReplicationUpdate["update"]): void {
    for (const watcher of watchers) {
      if (watcher.resource !== "" && watcher.resource !== resource) continue;
      watcher.waiting.set(`${resource} ${key}`, create(ReplicationUpdateSchema, { update }));
      watcher.wake();
    }
  }

  function present(resource: string): Map<string, ReplicationUpdate> {
    const chosen = [...roles].filter(([name]) => resource === "" || name === resource);
    const updates = chosen.flatMap(([name, value]): [string, ReplicationUpdate["update"]][] => [
      [`${name} `, { case: "roles", value }],
      ...[...(states.get(name) ?? [])].map(([instance, state]): [string, ReplicationUpdate["update"]] => [
        `${name} ${instance}`,
        { case: "state", value: state },
      ]),
    ]);
    return new Map(updates.map(([key, update]) => [key, create(ReplicationUpdateSchema, { update })]));
  }

  return {
    setRoles: (resource, changed) => {
      roles.set(resource, changed);
      const names = new Set(changed.instances.map((instance) => instance.name));
      for (const name of states.get(resource)?.keys() ?? [])
        if (!names.has(name)) states.get(resource)?.delete(name);
      offer(resource, "", { case: "roles", value: changed });
    },
    setState: (resource, state) => {
      const known = states.get(resource) ?? new Map<string, ReplicationState>();
      states.set(resource, known.set(state.instance, state));
      offer(resource, state.instance, { case: "state", value: state });
    },
    forget: (resource) => {
      roles.delete(resource);
      states.delete(resource);
    },
    roles: (resource) => roles.get(resource),
    states: (resource) => [...(states.get(resource)?.values() ?? [])],
    watch: async function* (resource, signal) {
      const watcher: Watcher = { resource, waiting: present(resource), wake: () => undefined };
      const ended = () => watcher.wake();
      watchers.add(watcher);
      signal.addEventListener("abort", ended);
      try {
        yield* updatesOf(watcher, signal);
      } finally {
        watchers.delete(watcher);
        signal.removeEventListener("abort", ended);
      }
    },
  };
}

async function* updatesOf(watcher: Watcher, signal: AbortSignal): AsyncGenerator<ReplicationUpdate> {
  while (!signal.aborted) {
    const first = watcher.waiting.entries().next().value;
    if (first) {
      watcher.waiting.delete(first[0]);
      yield first[1];
    } else {
      await new Promise<void>((resolve) => {
        watcher.wake = resolve;
        if (signal.aborted) resolve();
      });
    }
  }
}
