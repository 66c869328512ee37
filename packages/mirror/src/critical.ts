/** Which changes must not wait for the tick: those under a critical glob, and whatever a path under one may appear below. */

import { matchesGlob } from "node:path";

export function isCritical(path: string, globs: readonly string[]): boolean {
  return globs.some((glob) => matchesGlob(path, glob));
}

/** True when something below `path` could match: a folder that has just appeared is not watched before a seal visits it. */
export function mayLeadToCritical(path: string, globs: readonly string[]): boolean {
  return globs.some((glob) => leadsTo(path.split("/"), glob.split("/")));
}

function leadsTo(names: readonly string[], parts: readonly string[]): boolean {
  for (const [at, name] of names.entries()) {
    const part = parts[at];
    if (part === "**") return true;
    if (part === undefined || !matchesGlob(name, part)) return false;
  }
  return parts.length > names.length;
}
