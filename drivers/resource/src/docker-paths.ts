/**
 * The same folder has two names when the replicator runs in a container itself: the engine mounts by the host's name, we
 * open by our own. The way between them is the list of our own mounts. On the host both names are the same.
 */

import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { isWithin } from "./docker-spec.ts";
import type { Mount } from "./docker-types.ts";

export type Paths = {
  /** Undefined when it lies on no mount of ours. */
  toHost(own: string): string | undefined;
  toOwn(host: string): string | undefined;
};

export const ON_HOST: Paths = { toHost: (own) => own, toOwn: (host) => host };

export function pathsThrough(mounts: readonly Pick<Mount, "Source" | "Destination">[]): Paths {
  const pairs = mounts.flatMap(({ Source, Destination }) => (Source ? [{ Source, Destination }] : []));
  const translate = (path: string, from: "Source" | "Destination", to: "Source" | "Destination") => {
    const inner = pairs
      .filter((pair) => isWithin(path, pair[from]))
      .sort((a, b) => b[from].length - a[from].length)[0];
    return inner && posix.join(inner[to], posix.relative(inner[from], path));
  };
  return {
    toHost: (own) => translate(own, "Destination", "Source"),
    toOwn: (host) => translate(host, "Source", "Destination"),
  };
}

/** Docker and Podman mount files of the container's own folder over /etc/hostname and others. */
const OWN_FOLDER = /\/(?:containers|overlay-containers)\/([0-9a-f]{64})\//;

/** Id of the container that this process runs in; undefined on a host. */
export function ownContainer(mountinfo = readMountinfo()): string | undefined {
  for (const line of mountinfo.split("\n")) {
    const [, , , root = "", target = ""] = line.split(" ");
    if (target !== "/etc/hostname" && target !== "/etc/hosts") continue;
    const id = OWN_FOLDER.exec(root)?.[1];
    if (id) return id;
  }
  return undefined;
}

function readMountinfo(): string {
  try {
    return readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    return "";
  }
}
