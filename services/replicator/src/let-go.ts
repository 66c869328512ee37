/**
 * A resource that the configuration no longer names is let go: nothing is decided about it any more, and its instances end,
 * also those of which only the driver knows because we were restarted meanwhile. Folders, record and what the store holds stay:
 * configured again, it goes on where it stopped.
 */

import { ROOT_CONTEXT } from "@opentelemetry/api";
import type { ResourceDriver, RunningInstance } from "@understudy/resource/driver";
import type { Log } from "@understudy/service/log";
import { announce } from "./events.ts";
import { foldersOf } from "./folders.ts";
import { STOP_GRACE_MS } from "./instances.ts";
import type { Publisher } from "./publish.ts";
import { openRecordFile } from "./record-file.ts";
import type { Unit } from "./unit.ts";

export type LetGo = {
  readonly units: Map<string, Unit>;
  readonly driver: ResourceDriver;
  readonly dataDir: string;
  readonly publisher: Publisher;
  readonly log: Log;
};

/** Lets go of everything but `named`. What cannot be ended is said, and tried again with the next configuration or start. */
export async function letGoOfOthers(parts: LetGo, named: ReadonlySet<string>): Promise<void> {
  try {
    const known = [...parts.units.keys(), ...(await parts.driver.list()).map(({ resource }) => resource)];
    const others = [...new Set(known)].filter((resource) => !named.has(resource));
    await Promise.all(others.map((resource) => letGo(parts, resource)));
  } catch (error) {
    // What is no longer configured must not take with it what is.
    parts.log.error("what is no longer configured was not let go", { error });
  }
}

async function letGo(parts: LetGo, resource: string): Promise<void> {
  const { units, driver, publisher } = parts;
  const unit = units.get(resource);
  units.delete(resource);
  // First, so that no decision is taken and nothing started over what ends here.
  await unit?.close();
  const running = (await driver.list()).filter((each) => each.resource === resource);
  await Promise.all(running.map((each) => stop(parts, each)));
  const epoch = unit?.state().authority?.epoch ?? lastEpoch(parts, resource);
  const roles = { resource, epoch, primary: "", instances: [] };
  const reason = "it is no longer configured";
  publisher.perform(resource, { kind: "publish-roles", roles, reason }, ROOT_CONTEXT);
  const text = `${resource} is let go: ${reason}; ${running.length} instances ended, their folders stay`;
  publisher.perform(resource, announce("resource.let-go", text), ROOT_CONTEXT);
  publisher.forget(resource);
}

async function stop({ driver, log }: LetGo, instance: RunningInstance): Promise<void> {
  try {
    await driver.stop(instance, STOP_GRACE_MS);
  } catch (error) {
    const { resource, instance: name, pid } = instance;
    log.error("an instance that is no longer configured still runs", {
      resource,
      instance: name,
      pid,
      error,
    });
  }
}

/** As others last heard it from us: an older one would not be believed. */
function lastEpoch({ dataDir }: LetGo, resource: string): number {
  return openRecordFile(foldersOf(dataDir, resource).record).read()?.highestEpoch ?? 0;
}
