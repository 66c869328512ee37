/** The processes behind a resource's instances: started and watched through its resource driver, asked until they are ready. */

import { request } from "node:http";
import { pause } from "@understudy/model/pause";
import type { ReloadSignal, ResourceSpec } from "@understudy/model/policy";
import type {
  FenceResult,
  ResourceDriver,
  RoleOrder,
  RunningInstance,
  StartRequest,
} from "@understudy/resource/driver";
import type { Member } from "@understudy/state/store";
import type { Event } from "./events.ts";
import type { Folders } from "./folders.ts";

const READY_EVERY_MS = 20;
/** What one that an earlier process of ours started is told, until it is told its role again: it writes nothing. */
const RESTARTED: RoleOrder = { role: "shadow", epoch: 0, untilBootMs: 0 };
export const STOP_GRACE_MS = 2000;

export type Instances = {
  list(): Promise<readonly RunningInstance[]>;
  /** Reports its end, and when it is ready. */
  watch(running: RunningInstance): void;
  /** Lets the folder of an instance that is not started yet lead to the state of a resource that runs already. */
  place(member: Member): Promise<void>;
  start(member: Member, order: RoleOrder): Promise<RunningInstance>;
  setRole(member: Member, order: RoleOrder): Promise<void>;
  /** Undefined when it does not run, as far as is known. */
  running(member: Member): RunningInstance | undefined;
  stateDir(member: Member): string;
  /** Whether it answers its health probe now; true where it has none. */
  answers(member: Member): Promise<boolean>;
  signal(member: Member, name: ReloadSignal): Promise<void>;
  /** Starts it again in its place, under the role it was last given; resolves once it answers. */
  restart(member: Member): Promise<void>;
  fence(member: Member): Promise<FenceResult>;
  stop(member: Member): Promise<void>;
  /** Resolves when no start is under way any more. What runs runs on. */
  close(): Promise<void>;
};

export function openInstances(parts: {
  readonly spec: () => ResourceSpec;
  readonly driver: ResourceDriver;
  readonly folders: Folders;
  /** What instances are told besides, such as where our gRPC answers. */
  readonly env: () => Readonly<Record<string, string>>;
  readonly post: (event: Event) => void;
}): Instances {
  const { driver, folders, post } = parts;
  const running = new Map<string, RunningInstance>();
  const orders = new Map<string, RoleOrder>();
  const ended = new Map<string, AbortController>();
  /** The start of each member that is under way. */
  const starting = new Map<string, Promise<unknown>>();
  const stop = new AbortController();
  const keyOf = ({ instance, incarnation }: Member) => `${instance}/${incarnation}`;
  const memberOf = ({ instance, incarnation }: RunningInstance): Member => ({ instance, incarnation });

  function watch(instance: RunningInstance): void {
    const key = keyOf(instance);
    const over = new AbortController();
    running.set(key, instance);
    ended.set(key, over);
    driver.onExit(instance, (detail) => {
      over.abort();
      ended.delete(key);
      running.delete(key);
      post({ kind: "exited", member: memberOf(instance), detail });
    });
    void awaitReady(instance, AbortSignal.any([over.signal, stop.signal]));
  }

  async function awaitReady(instance: RunningInstance, signal: AbortSignal): Promise<void> {
    const { health, run } = parts.spec();
    const untilMs = performance.now() + run.readyWithinMs;
    while (!signal.aborted) {
      if (!health.http || (await answers(`http://${instance.address}${health.http}`, health.timeoutMs))) {
        return post({ kind: "ready", member: memberOf(instance) });
      }
      if (performance.now() >= untilMs) {
        const why = `no good answer within ${run.readyWithinMs} ms of its start`;
        return post({ kind: "failed", member: memberOf(instance), what: "start", why });
      }
      await pause(READY_EVERY_MS, signal);
    }
  }

  function requestOf(member: Member, role: RoleOrder): StartRequest {
    const stateDir = folders.stateDir(member.instance);
    return { resource: parts.spec().name, ...member, stateDir, role, env: parts.env() };
  }

  async function restart(member: Member): Promise<void> {
    const key = keyOf(member);
    const [before, order] = [running.get(key), orders.get(key) ?? RESTARTED];
    if (!before || stop.signal.aborted) return;
    ended.get(key)?.abort();
    const again = await begun(member, driver.restart(before, requestOf(member, order), STOP_GRACE_MS));
    watch(again);
    post({ kind: "started", member, running: again });
    const untilMs = performance.now() + parts.spec().run.readyWithinMs;
    const { health } = parts.spec();
    while (health.http && !(await answers(`http://${again.address}${health.http}`, health.timeoutMs))) {
      if (performance.now() > untilMs || stop.signal.aborted)
        throw new Error(`${member.instance} does not answer after its restart for a new version`);
      await pause(READY_EVERY_MS, stop.signal);
    }
  }

  async function start(member: Member, order: RoleOrder): Promise<RunningInstance> {
    if (stop.signal.aborted) throw new Error("its resource is let go");
    await folders.make(member.instance);
    orders.set(keyOf(member), order);
    const instance = await driver.start(requestOf(member, order));
    watch(instance);
    return instance;
  }

  /** Whoever wants to end the instance waits for it. */
  async function begun<T>(member: Member, started: Promise<T>): Promise<T> {
    starting.set(keyOf(member), started);
    try {
      return await started;
    } finally {
      if (starting.get(keyOf(member)) === started) starting.delete(keyOf(member));
    }
  }

  async function place({ instance }: Member): Promise<void> {
    if (!driver.place) return;
    await folders.make(instance);
    await driver.place({ resource: parts.spec().name, instance, stateDir: folders.stateDir(instance) });
  }

  async function setRole(member: Member, order: RoleOrder): Promise<void> {
    orders.set(keyOf(member), order);
    const instance = running.get(keyOf(member));
    const now = instance && (await driver.setRole(instance, order));
    if (!now) return;
    ended.get(keyOf(member))?.abort();
    watch(now);
    post({ kind: "moved", member, running: now });
  }

  async function fence(member: Member): Promise<FenceResult> {
    // One that is just being started will run: only then can it be fenced.
    await starting.get(keyOf(member))?.catch(() => undefined);
    const instance = running.get(keyOf(member));
    if (!instance) return { confirmed: true, how: "it does not run here" };
    const result = await driver.fence(instance);
    if (result.confirmed) running.delete(keyOf(member));
    return result;
  }

  return {
    list: async () => (await driver.list()).filter((each) => each.resource === parts.spec().name),
    watch,
    place,
    start: (member, order) => begun(member, start(member, order)),
    setRole,
    running: (member) => running.get(keyOf(member)),
    answers: async (member) => {
      const { http, timeoutMs } = parts.spec().health;
      const instance = running.get(keyOf(member));
      return instance !== undefined && (!http || answers(`http://${instance.address}${http}`, timeoutMs));
    },
    stateDir: (member) => folders.stateDir(member.instance),
    signal: async (member, name) => {
      const instance = running.get(keyOf(member));
      if (instance) await driver.signal(instance, name);
    },
    restart,
    fence,
    stop: async (member) => {
      await starting.get(keyOf(member))?.catch(() => undefined);
      const instance = running.get(keyOf(member));
      if (instance) await driver.stop(instance, STOP_GRACE_MS);
      running.delete(keyOf(member));
    },
    close: async () => {
      stop.abort();
      await Promise.allSettled(starting.values());
    },
  };
}

function answers(url: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(url, { timeout: timeoutMs, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => resolve(false));
    asked.end();
  });
}
