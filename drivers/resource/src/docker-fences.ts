/**
 * Making sure that a container can never write again: killed directly and through the engine at once, confirmed by whoever
 * can see its first process, and taken off its networks where its end cannot be confirmed.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Containers } from "./docker-containers.ts";
import type { ContainerRecord } from "./docker-records.ts";
import { type FenceResult, ResourceError, type RunningInstance } from "./driver.ts";
import { readLiving } from "./proc-stat.ts";
import { nameOf } from "./records.ts";

const FENCE_WITHIN_MS = 2000;
const CONFIRM_POLL_MS = 2;
/** Asking the engine costs milliseconds: less often than looking at /proc. */
const ASK_POLL_MS = 20;

/** Ends it and forgets it; a container of ours is removed. */
export async function end(here: Containers, record: ContainerRecord): Promise<FenceResult> {
  const result = await kill(here, record);
  if (!result.confirmed) {
    // It can still run, but nobody reaches it any more.
    await isolate(here, record).catch((error: Error) => here.report(error));
    return result;
  }
  here.forget(record);
  if (!record.adopted) here.removeLater(record.container);
  if (record.waiting !== undefined) here.removeLater(record.waiting);
  return result;
}

export async function kill(here: Containers, record: ContainerRecord): Promise<FenceResult> {
  const { running, container } = record;
  const startedMs = performance.now();
  // The kernel ends a whole container with its first process, and at once; the engine needs some 50 ms to pass it on.
  const struck = strike(running);
  const asked = here.engine.kill(container, "SIGKILL").then(
    () => undefined,
    (error: Error) => error,
  );
  if (!struck) {
    const failed = await asked;
    if (failed) return { confirmed: false, why: failed.message };
  }
  while (await here.runs(record)) {
    if (performance.now() - startedMs > FENCE_WITHIN_MS)
      return {
        confirmed: false,
        why: `container ${container.slice(0, 12)} still runs ${FENCE_WITHIN_MS} ms after SIGKILL`,
      };
    await sleep(running.pid > 0 ? CONFIRM_POLL_MS : ASK_POLL_MS);
  }
  return {
    confirmed: true,
    how: `container gone ${(performance.now() - startedMs).toFixed(1)} ms after SIGKILL`,
  };
}

/** What is left of an earlier start, before the next one. */
export async function clearRemains(here: Containers, dead: ContainerRecord): Promise<void> {
  const ended = await end(here, dead);
  if (!ended.confirmed)
    throw new ResourceError("refused", `${nameOf(dead.running)}: its last start has not ended: ${ended.why}`);
}

async function isolate({ engine }: Containers, { container }: ContainerRecord): Promise<void> {
  const inspect = await engine.inspect(container);
  for (const network of Object.keys(inspect?.NetworkSettings.Networks ?? {}))
    await engine.disconnect(network, container);
}

/** False when it is not ours to signal, or not to be seen. */
function strike(running: RunningInstance): boolean {
  if (running.pid === 0) return false;
  if (!readLiving(running)) return true;
  try {
    return process.kill(running.pid, "SIGKILL");
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
