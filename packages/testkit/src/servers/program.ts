/**
 * Finds a server program: on PATH, in Debian packages unpacked without root, in Docker. A server that is somebody's own is
 * given by its URL instead and never gets here (nats.ts, redis.ts).
 */

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { TestkitError } from "../error.ts";
import { findUnpacked, unpackDebian } from "./debian.ts";
import { findImage } from "./docker.ts";
import { howToInstall } from "./install-hint.ts";
import type { ServerName } from "./names.ts";

export type Program =
  | { readonly how: "path"; readonly file: string; readonly env: Readonly<Record<string, string>> }
  | { readonly how: "unpacked"; readonly file: string; readonly env: Readonly<Record<string, string>> }
  | { readonly how: "docker"; readonly image: string };

/** Debian puts daemons where a user's PATH often does not look. */
const ALSO = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/opt/homebrew/bin", "/usr/local/bin"];

const finding = new Map<ServerName, Promise<Program>>();

/** Looks once per process. Throws TestkitError "not-found" with what to install. */
export function findProgram(name: ServerName): Promise<Program> {
  let found = finding.get(name);
  if (!found) {
    found = search(name);
    finding.set(name, found);
  }
  return found;
}

async function search(name: ServerName): Promise<Program> {
  const tried: string[] = [];
  const file = findOnPath(name);
  if (file) return { how: "path", file, env: {} };
  tried.push("it is not on PATH");
  const unpacked = findUnpacked(name) ?? (await unpackDebian(name));
  if ("file" in unpacked) return { how: "unpacked", ...unpacked };
  tried.push(unpacked.why);
  const image = await findImage(name);
  if ("image" in image) return { how: "docker", image: image.image };
  tried.push(image.why);
  throw new TestkitError("not-found", howToInstall(name, tried));
}

export function findOnPath(name: string, path = process.env.PATH ?? ""): string | undefined {
  return [...path.split(delimiter).filter(Boolean), ...ALSO]
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
