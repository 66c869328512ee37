/**
 * Which paths a mirror may touch. A path from a peer is used only after it passed here, so that no delta, however it
 * came about, writes outside the state it belongs to.
 */

import { MirrorError } from "./error.ts";

export const PATH_BYTES_MAX = 4096;

/** A relative path in normal form: no empty, "." or ".." component. */
export function isPlainPath(path: string): boolean {
  if (path.length === 0 || Buffer.byteLength(path) > PATH_BYTES_MAX || path.includes("\0")) return false;
  return path.split("/").every((name) => name !== "" && name !== "." && name !== "..");
}

/** True when `path` is one of the mirrored paths or lies below one. "." mirrors the whole folder. */
export function isCovered(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => root === "." || path === root || path.startsWith(`${root}/`));
}

/** True when `path` is a folder that leads to a mirrored path without being mirrored itself. */
export function leadsToRoot(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => root.startsWith(`${path}/`));
}

export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

export function joinPath(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

/**
 * True when a link at `path` stays inside the state whatever the other links are: leading ".." components no deeper than
 * the link lies, and none after a name (the name could be a link itself).
 */
export function isInnerLink(path: string, target: string): boolean {
  if (target.length === 0 || Buffer.byteLength(target) > PATH_BYTES_MAX || target.includes("\0"))
    return false;
  if (target.startsWith("/")) return false;
  const names = target.split("/").filter((name) => name !== "" && name !== ".");
  const ups = names.findIndex((name) => name !== "..");
  const climbs = ups === -1 ? names.length : ups;
  if (climbs > path.split("/").length - 1) return false;
  return !names.slice(climbs).includes("..");
}

/** The roots as the engine uses them; throws when one is not a path inside the state folder. */
export function checkedRoots(paths: readonly string[]): string[] {
  const roots = paths.map((path) => path.replace(/\/+$/, "").replace(/^\.\//, ""));
  for (const root of roots) {
    if (root !== "." && !isPlainPath(root)) {
      throw new MirrorError("escape", `state path "${root}" is not a path inside the state folder`);
    }
  }
  return roots;
}
