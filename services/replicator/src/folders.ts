/** Where the files of a resource are below the data folder: one folder per instance, the mirror's own files beside its state. */

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";

export type Folders = {
  readonly record: string;
  stateDir(instance: string): string;
  /** Of the mirror: position, manifest, journal. */
  workDir(instance: string): string;
  make(instance: string): Promise<void>;
  remove(instance: string): Promise<void>;
};

export function foldersOf(dataDir: string, resource: string): Folders {
  const root = join(dataDir, "resources", resource);
  const stateDir = (instance: string) => join(root, instance, "state");
  const workDir = (instance: string) => join(root, instance, "mirror");
  return {
    record: join(root, "record.json"),
    stateDir,
    workDir,
    make: async (instance) => {
      await mkdir(stateDir(instance), { recursive: true, mode: 0o700 });
      await mkdir(workDir(instance), { recursive: true, mode: 0o700 });
    },
    remove: (instance) => rm(join(root, instance), { recursive: true, force: true }),
  };
}
