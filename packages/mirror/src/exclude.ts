/**
 * Which paths of a mirrored folder are left out, as a user says it in globs: one without a slash names files and folders at any
 * depth ("*.tmp", "node_modules"), one with a slash a path from the top ("cache/**"). What lies in a folder left out is out.
 */

import { matchesGlob } from "node:path";
import { MirrorError } from "./error.ts";

export const EXCLUDES_MAX = 256;

export type Excludes = (path: string) => boolean;

export function excludes(globs: readonly string[]): Excludes {
  if (globs.length > EXCLUDES_MAX)
    throw new MirrorError("io", `${globs.length} globs of what is left out, at most ${EXCLUDES_MAX}`);
  const names = globs.filter((glob) => !isOfPath(glob)).map(plain);
  const paths = globs.filter(isOfPath).map(plain);
  if (globs.length === 0) return () => false;
  return (path) => {
    const parts = path.split("/");
    return parts.some((name, at) => {
      const top = parts.slice(0, at + 1).join("/");
      return names.some((glob) => matchesGlob(name, glob)) || paths.some((glob) => matchesGlob(top, glob));
    });
  };
}

/** A slash at the end says no more than that it is a folder. */
function isOfPath(glob: string): boolean {
  return glob.replace(/\/+$/, "").includes("/");
}

function plain(glob: string): string {
  return glob.replace(/^\.?\//, "").replace(/\/+$/, "");
}
