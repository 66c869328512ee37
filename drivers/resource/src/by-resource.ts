/** Several drivers as one: each resource is run by the driver that its configuration names, each instance ended by the one that runs it. */

import type { ResourceSpec } from "@understudy/model/policy";
import { type ResourceDriver, ResourceError, type RunningInstance } from "./driver.ts";

type DriverName = ResourceSpec["driver"];
type Drivers = Readonly<Partial<Record<DriverName, ResourceDriver>>>;

/** `driverOf`: undefined for a resource that is not configured, or not any more. */
export function byResource(
  driverOf: (resource: string) => DriverName | undefined,
  drivers: Drivers,
): ResourceDriver {
  const all = Object.values(drivers);
  /** Who runs what: the configuration may name another driver, or nothing, by the time it has to be ended. */
  const runs = new Map<string, ResourceDriver>();

  const configured = (resource: string): ResourceDriver => {
    const name = driverOf(resource);
    const driver = name && drivers[name];
    if (driver) return driver;
    const why = name ? `there is no ${name} driver here` : "it is not in the configuration";
    throw new ResourceError("not-found", `cannot run ${resource}: ${why}`);
  };
  const ofRunning = (running: RunningInstance): ResourceDriver =>
    runs.get(keyOf(running)) ?? configured(running.resource);
  const note = (running: RunningInstance, driver: ResourceDriver): RunningInstance => {
    runs.set(keyOf(running), driver);
    return running;
  };

  return {
    place: async (request) => {
      await configured(request.resource).place?.(request);
    },
    start: async (request) => {
      const driver = configured(request.resource);
      return note(await driver.start(request), driver);
    },
    list: async () => {
      const lists = await Promise.all(
        all.map(async (driver) => (await driver.list()).map((running) => note(running, driver))),
      );
      return lists.flat();
    },
    setRole: (running, order) => ofRunning(running).setRole(running, order),
    signal: (running, name) => ofRunning(running).signal(running, name),
    restart: (running, request, graceMs) => ofRunning(running).restart(running, request, graceMs),
    fence: async (running) => {
      const result = await ofRunning(running).fence(running);
      if (result.confirmed) runs.delete(keyOf(running));
      return result;
    },
    stop: async (running, graceMs) => {
      await ofRunning(running).stop(running, graceMs);
      runs.delete(keyOf(running));
    },
    onExit: (running, ended) => ofRunning(running).onExit(running, ended),
    close: async () => {
      await Promise.all(all.map((driver) => driver.close()));
    },
  };
}

function keyOf({ resource, instance, incarnation }: RunningInstance): string {
  return `${resource}.${instance}/${incarnation}`;
}
