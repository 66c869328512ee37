/**
 * The same folder has two names when the replicator runs in a container itself: the engine mounts by the host's name, we
 * open by our own. The way between them is the list of our own mounts. On the host both names are the same.
 */

import { readFileSync } from "node:fs";
import { posix } from "node:path";
import type { Engine } from "./docker-engine.ts";
import { isWithin } from "./docker-spec.ts";
import type { Mount } from "./docker-types.ts";
import { ResourceError } from "./driver.ts";

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

/** The way between the names here and those of the engine's host, found out when it is needed first. */
export class OwnPaths {
  readonly #engine: Engine;
  #paths: Promise<Paths> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** `name`: the container for which it is needed. Throws when the engine cannot mount it. */
  async toHost(own: string, name: string): Promise<string> {
    const host = (await this.#read()).toHost(own);
    if (host) return host;
    throw new ResourceError(
      "refused",
      `cannot make container ${name}: ${own} lies inside the replicator's own container: keep UNDERSTUDY_DATA_DIR on a volume`,
    );
  }

  /** Undefined when it is not mounted here. */
  async toOwn(host: string): Promise<string | undefined> {
    return (await this.#read()).toOwn(host);
  }

  #read(): Promise<Paths> {
    this.#paths ??= readOwnPaths(this.#engine).catch((error) => {
      this.#paths = undefined;
      throw error;
    });
    return this.#paths;
  }
}

async function readOwnPaths(engine: Engine): Promise<Paths> {
  const id = ownContainer();
  const own = id && (await engine.inspect(id));
  // In a container of another engine's making the engine cannot know our mounts: then the names are taken as they are.
  return own ? pathsThrough(own.Mounts) : ON_HOST;
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
