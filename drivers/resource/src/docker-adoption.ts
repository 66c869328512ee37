/**
 * Taking a container that runs already under protection, and letting it go again. Nothing about it is changed but who
 * restarts it, and that is given back in the end. A volume of the engine is the mark of who manages it: first come, first served.
 */

import { lstatSync, readdirSync, rmdirSync, statSync, symlinkSync } from "node:fs";
import { posix } from "node:path";
import type { ContainerSpec } from "@understudy/model/policy";
import { checkpointFacts, noCheckpoint } from "./docker-checkpoint.ts";
import { checkAdoptable } from "./docker-checks.ts";
import { type Asked, type Containers, notThere, recordOfRunning } from "./docker-containers.ts";
import type { ContainerRecord } from "./docker-records.ts";
import { saveRole } from "./docker-roles.ts";
import { LABELS } from "./docker-spec.ts";
import { type ContainerInspect, type Mount, nameOfContainer } from "./docker-types.ts";
import { ResourceError, type RunningInstance, type StartRequest } from "./driver.ts";
import { asResourceError } from "./start-failure.ts";

/** Lets the empty folder of the first primary lead to where the container keeps its state. */
export async function placeAdopted(
  here: Containers,
  { resource, instance, stateDir }: Asked & Pick<StartRequest, "stateDir">,
): Promise<void> {
  const { container: spec } = here.specOf({ resource, instance });
  if (lstatSync(stateDir).isSymbolicLink() || readdirSync(stateDir).length > 0) return;
  const inspect = await here.engine.inspect(spec.name);
  if (!inspect) throw notThere(spec.name);
  const own = await ownStateOf(here, inspect, { spec, mount: checkAdoptable(inspect, spec) });
  if (spec.checkpoint === "criu") throw noCheckpoint(spec.name, await checkpointFacts(here.engine));
  await claim(here, inspect, resource);
  const { RestartPolicy: restartPolicy } = inspect.HostConfig;
  here.files.saveAdoption(resource, { instance, template: inspect, restartPolicy });
  rmdirSync(stateDir);
  symlinkSync(own, stateDir);
}

/** The container that was found running; started again when it has ended since. */
export async function adopt(
  here: Containers,
  request: StartRequest,
  found: ContainerInspect,
): Promise<RunningInstance> {
  const { container: spec } = here.specOf(request);
  const name = nameOfContainer(found);
  if (restartsItself(found.HostConfig.RestartPolicy)) await here.engine.forbidRestarts(found.Id);
  if (!found.State.Running) await here.engine.start(found.Id, name);
  const inspect = found.State.Running ? found : await here.engine.inspect(found.Id);
  if (!inspect) throw notThere(name);
  checkAdoptable(inspect, spec);
  const record = recordOfRunning(request, inspect, { spec, adopted: true });
  await saveRole(here, record, request.role);
  here.save(record);
  return record.running;
}

/** An adopted container is not ours to stop: it runs on as it was found. */
export async function letGo(here: Containers, record: ContainerRecord): Promise<void> {
  const { resource } = record.running;
  const adoption = here.files.adoption(resource);
  here.exits.release(record.container);
  here.forget(record);
  if (restartsItself(adoption?.restartPolicy))
    await here.engine.restorePolicy(record.container, adoption?.restartPolicy);
  await here.engine.removeVolume(claimOf(record.container));
  here.files.forgetAdoption(resource);
}

/** Whether the engine is the one who does it. Podman cannot be told otherwise, so it is told only where it must be. */
function restartsItself(policy: unknown): boolean {
  const { Name = "" } = (policy ?? {}) as { Name?: string };
  return Name !== "" && Name !== "no";
}

/** Two managers of one engine would make two primaries of one container. */
async function claim({ files, engine }: Containers, inspect: ContainerInspect, resource: string) {
  const manager = files.manager();
  const volume = claimOf(inspect.Id);
  const labels = { [LABELS.manager]: manager, [LABELS.resource]: resource };
  const owner = (await engine.claimVolume(volume, labels))[LABELS.manager];
  if (owner === manager) return;
  throw new ResourceError(
    "refused",
    `container ${nameOfContainer(inspect)} is managed by another replicator (${owner ?? "unknown"}): take it out of that one's configuration, or, if that one is gone for good, docker volume rm ${volume}`,
  );
}

function claimOf(container: string): string {
  return `understudy-claim-${container.slice(0, 12)}`;
}

/** Where we find the state of a container. */
async function ownStateOf(
  here: Containers,
  inspect: ContainerInspect,
  { spec, mount }: { spec: ContainerSpec; mount: Mount },
): Promise<string> {
  const name = nameOfContainer(inspect);
  const host = posix.join(mount.Source ?? "", posix.relative(mount.Destination, spec.stateDir));
  const own = await here.paths.toOwn(host);
  const what = mount.Name ? `volume ${mount.Name}` : host;
  if (own === undefined) {
    const remedy = `mount ${what} into the replicator's container as well`;
    throw new ResourceError(
      "refused",
      `container ${name} keeps its state in ${what}, which is not mounted here: ${remedy}`,
    );
  }
  try {
    if (statSync(own).isDirectory()) readdirSync(own);
    else
      throw new ResourceError(
        "refused",
        `container ${name}: ${spec.stateDir} is a file: name its folder in container.stateDir`,
      );
    return own;
  } catch (error) {
    throw asResourceError(error, `cannot read the state of container ${name} in ${what}`);
  }
}
