/**
 * Instances that exist only in this process: for tests and simulations, held to the same contract as the real drivers.
 * The "machine" outlives the driver, as processes outlive a replicator; tests look at it and break it through its functions.
 */

import type { ReloadSignal } from "@understudy/model/policy";
import {
  type FenceResult,
  type ResourceDriver,
  ResourceError,
  type RoleOrder,
  type RunningInstance,
  type StartRequest,
} from "./driver.ts";

type MemoryInstance = {
  readonly running: RunningInstance;
  readonly request: StartRequest;
  role: RoleOrder;
  alive: boolean;
  /** Survives SIGKILL, as a process in an uninterruptible call does. */
  stuck: boolean;
  readonly signals: ReloadSignal[];
  readonly listeners: Set<(detail: string) => void>;
};

export type MemoryMachine = {
  readonly instances: Map<string, MemoryInstance>;
  nextPid: number;
};

export function createMemoryMachine(): MemoryMachine {
  return { instances: new Map(), nextPid: 1000 };
}

/** `resources`: those that can be started; all when left out. `addressOf`: where an instance is said to listen. */
export function openMemoryDriver(
  machine: MemoryMachine,
  options: {
    readonly resources?: readonly string[];
    readonly addressOf?: (request: StartRequest) => string;
  } = {},
): ResourceDriver {
  return new MemoryDriver(machine, options.resources, options.addressOf);
}

/** The instance dies by itself. */
export function killInMemory(
  machine: MemoryMachine,
  running: RunningInstance,
  detail = "exited: signal SIGKILL",
): void {
  const found = find(machine, running);
  if (!found?.alive) return;
  found.alive = false;
  for (const listener of found.listeners) queueMicrotask(() => listener(detail));
}

export function makeStuckInMemory(machine: MemoryMachine, running: RunningInstance): void {
  const found = find(machine, running);
  if (found) found.stuck = true;
}

/** What the instance was last told; undefined when it does not run. */
export function roleInMemory(machine: MemoryMachine, running: RunningInstance): RoleOrder | undefined {
  const found = find(machine, running);
  return found?.alive ? found.role : undefined;
}

/** The signals it was sent since it was started. */
export function signalsInMemory(machine: MemoryMachine, running: RunningInstance): readonly ReloadSignal[] {
  return find(machine, running)?.signals ?? [];
}

class MemoryDriver implements ResourceDriver {
  readonly #machine: MemoryMachine;
  readonly #resources: readonly string[] | undefined;
  readonly #addressOf: ((request: StartRequest) => string) | undefined;
  readonly #listeners: { found: MemoryInstance; listener: (detail: string) => void }[] = [];
  #closed = false;

  constructor(
    machine: MemoryMachine,
    resources: readonly string[] | undefined,
    addressOf: ((request: StartRequest) => string) | undefined,
  ) {
    this.#machine = machine;
    this.#resources = resources;
    this.#addressOf = addressOf;
  }

  async start(request: StartRequest): Promise<RunningInstance> {
    this.#refuseWhenClosed();
    const name = `${request.resource}.${request.instance}`;
    if (this.#resources && !this.#resources.includes(request.resource)) {
      throw new ResourceError("not-found", `${name}: its resource has no run.command in the configuration`);
    }
    const present = this.#machine.instances.get(name);
    if (present?.alive) {
      if (present.running.incarnation === request.incarnation) return present.running;
      throw new ResourceError(
        "refused",
        `${name} still runs as ${present.running.incarnation}: stop or fence it first`,
      );
    }
    const pid = this.#machine.nextPid++;
    const { resource, instance, incarnation } = request;
    const address = this.#addressOf?.(request) ?? `127.0.0.1:${10_000 + pid}`;
    const running = { resource, instance, incarnation, address, pid, pidStartTicks: pid };
    const fresh = {
      running,
      request,
      role: request.role,
      alive: true,
      stuck: false,
      signals: [],
      listeners: new Set<never>(),
    };
    this.#machine.instances.set(name, fresh);
    return running;
  }

  async list(): Promise<readonly RunningInstance[]> {
    this.#refuseWhenClosed();
    return [...this.#machine.instances.values()].filter(({ alive }) => alive).map(({ running }) => running);
  }

  async setRole(running: RunningInstance, order: RoleOrder): Promise<undefined> {
    this.#refuseWhenClosed();
    const found = find(this.#machine, running);
    if (found) found.role = order;
  }

  async signal(running: RunningInstance, name: ReloadSignal): Promise<void> {
    this.#refuseWhenClosed();
    const found = find(this.#machine, running);
    if (found?.alive) found.signals.push(name);
  }

  async restart(running: RunningInstance, request: StartRequest, _graceMs: number): Promise<RunningInstance> {
    this.#refuseWhenClosed();
    const found = find(this.#machine, running);
    if (!found?.alive)
      throw new ResourceError("refused", `${running.instance} does not run: it is not restarted`);
    const pid = this.#machine.nextPid++;
    const again = { ...running, pid, pidStartTicks: pid };
    this.#machine.instances.set(`${running.resource}.${running.instance}`, {
      ...found,
      running: again,
      request,
      role: request.role,
      signals: [],
      listeners: new Set(),
    });
    return again;
  }

  async fence(running: RunningInstance): Promise<FenceResult> {
    this.#refuseWhenClosed();
    const found = find(this.#machine, running);
    if (found?.alive && found.stuck) return { confirmed: false, why: "it does not obey SIGKILL" };
    killInMemory(this.#machine, running);
    return { confirmed: true, how: "gone from memory" };
  }

  async stop(running: RunningInstance, _graceMs: number): Promise<void> {
    this.#refuseWhenClosed();
    if (find(this.#machine, running)?.stuck)
      throw new ResourceError("refused", `cannot stop ${running.instance}`);
    killInMemory(this.#machine, running, "exited: code 0");
  }

  onExit(running: RunningInstance, ended: (detail: string) => void): void {
    if (this.#closed) return;
    const found = find(this.#machine, running);
    if (!found?.alive) queueMicrotask(() => ended("exited: its process is gone"));
    else {
      found.listeners.add(ended);
      this.#listeners.push({ found, listener: ended });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { found, listener } of this.#listeners) found.listeners.delete(listener);
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new ResourceError("closed", "the memory driver is closed");
  }
}

/** Only the very start that `running` names. */
function find(machine: MemoryMachine, running: RunningInstance): MemoryInstance | undefined {
  const found = machine.instances.get(`${running.resource}.${running.instance}`);
  return found?.running.incarnation === running.incarnation ? found : undefined;
}
