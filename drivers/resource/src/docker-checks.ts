/** Whether a container may be taken under protection. Pure: what the engine says of it in, or one sentence with the remedy out. */

import { asLabel } from "@understudy/model/names";
import type { ContainerSpec } from "@understudy/model/policy";
import { LABELS, mountOf } from "./docker-spec.ts";
import { type ContainerInspect, type Mount, nameOfContainer } from "./docker-types.ts";
import { ResourceError, type StartRequest } from "./driver.ts";

/** Drivers whose volumes are folders of the engine's host. */
const LOCAL = "local";

/** Throws for a container that has no shadow, or must not have one. Returns the mount that holds its state. */
export function checkAdoptable(inspect: ContainerInspect, spec: ContainerSpec): Mount {
  const { Config, HostConfig, State } = inspect;
  const refuse = (why: string, remedy: string): never => {
    throw new ResourceError("refused", `container ${nameOfContainer(inspect)} ${why}: ${remedy}`);
  };
  const labels = Config.Labels ?? {};
  if (labels[LABELS.enable] === "false")
    refuse(
      `has the label ${LABELS.enable}=false`,
      "it is left alone; take the label away to have it protected",
    );
  if (labels[LABELS.manager]) refuse("is a shadow itself", "name the container that it was made from");
  if (HostConfig.Privileged)
    refuse(
      "is privileged",
      "a shadow would have the same power over the host; give it single capabilities instead",
    );
  if (HostConfig.NetworkMode === "host")
    refuse("is on the host's network", "a shadow would want the same ports; put it on a bridge network");
  if (HostConfig.NetworkMode?.startsWith("container:"))
    refuse(
      "is on another container's network",
      "a shadow would want the same ports; give it a network of its own",
    );
  if (HostConfig.PidMode === "host")
    refuse("sees the host's processes", "its own cannot be fenced as a whole; run it without --pid host");
  if (!State.Running)
    refuse(`does not run (${State.Status})`, "start it: what runs is adopted, nothing is started");
  return stateMount(inspect, spec);
}

function stateMount(inspect: ContainerInspect, { stateDir }: ContainerSpec): Mount {
  const mount = mountOf(inspect, stateDir);
  const name = nameOfContainer(inspect);
  if (!mount || mount.Type === "tmpfs") {
    const where = mount ? "in memory only" : "inside the container itself";
    throw new ResourceError(
      "refused",
      `container ${name} keeps ${stateDir} ${where}: put a volume or a bind mount there (docker run -v ${name}-state:${stateDir})`,
    );
  }
  if (mount.Type === "volume" && (mount.Driver ?? LOCAL) !== LOCAL) {
    throw new ResourceError(
      "refused",
      `container ${name}: volume ${mount.Name} is kept by driver ${mount.Driver}, whose files cannot be read here: use a local volume or a bind mount for ${stateDir}`,
    );
  }
  return mount;
}

/** They become names of containers, folders and hosts. */
export function checkNames({ resource, instance }: Pick<StartRequest, "resource" | "instance">): void {
  try {
    asLabel(resource, "resource");
    asLabel(instance, "instance");
  } catch (error) {
    throw new ResourceError("refused", (error as Error).message);
  }
}
