/**
 * The containers of a run, so that they end with it. Those that we start are written down by name; those that a replicator
 * makes out of one of them inherit its label, and are found by that.
 */

import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Not "understudy.": labels of that kind are commands, and are not inherited. */
const RUN_LABEL = "understudy-run";
/** In the run's folder: one name per line of the containers that were started for it. */
const CONTAINERS_FILE = "containers";
/** In the run's folder: the socket of the engine on which something carries the run's label. */
const ENGINE_FILE = "engine";
const COMMAND_WITHIN_MS = 60_000;

type RunPlace = { readonly id: string; readonly folder: string };

export function recordContainer(run: RunPlace, name: string): void {
  appendFileSync(join(run.folder, CONTAINERS_FILE), `${name}\n`);
}

/** For `docker run --label`: from now on everything with it on this engine ends with the run. */
export function labelOfRun(run: RunPlace, socket: string): string {
  writeFileSync(join(run.folder, ENGINE_FILE), socket);
  return `${RUN_LABEL}=${run.id}`;
}

/** Removes the run's containers: killing the `docker run` that started one does not end it. Processes end before. */
export function endRunContainers({ id, folder }: RunPlace): void {
  const list = join(folder, CONTAINERS_FILE);
  const names = existsSync(list) ? readFileSync(list, "utf8").split("\n").filter(Boolean) : [];
  for (const name of names) docker("rm", "--force", name);
  const engine = join(folder, ENGINE_FILE);
  if (existsSync(engine)) removeLabelled(readFileSync(engine, "utf8"), `label=${RUN_LABEL}=${id}`);
}

function removeLabelled(socket: string, filter: string): void {
  const engine = (...args: readonly string[]) => docker("--host", `unix://${socket}`, ...args);
  const idsOf = (...list: readonly string[]) =>
    engine(...list)
      .split("\n")
      .filter(Boolean);
  const containers = idsOf("ps", "-aq", "--no-trunc", "--filter", filter);
  if (containers.length > 0) engine("rm", "--force", "--volumes", ...containers);
  // Where a replicator says that a container is its own (drivers/resource): it has no label of ours.
  const claims = containers.map((container) => `understudy-claim-${container.slice(0, 12)}`);
  const volumes = [...claims, ...idsOf("volume", "ls", "-q", "--filter", filter)];
  for (const volume of volumes) engine("volume", "rm", "--force", volume);
  for (const network of idsOf("network", "ls", "-q", "--filter", filter)) engine("network", "rm", network);
}

/** Empty when it fails: what it should remove has ended by itself, or the engine is gone, and the containers with it. */
function docker(...args: readonly string[]): string {
  try {
    return execFileSync("docker", args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: COMMAND_WITHIN_MS,
    });
  } catch {
    return "";
  }
}
