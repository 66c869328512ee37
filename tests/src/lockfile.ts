/**
 * package-lock.json must be whole, or `npm ci` refuses it: it names every workspace's dependencies as they are, and an entry
 * for each optional package of every platform. A registry that mirrors only our own platform makes npm leave the others
 * out, so `node tests/src/lockfile.ts` adds them after each `npm install --package-lock-only`.
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY, readManifest } from "./sources.ts";

type Dependencies = Readonly<Record<string, string>>;
type Entry = {
  readonly version?: string;
  readonly dependencies?: Dependencies;
  readonly optionalDependencies?: Dependencies;
  readonly dev?: boolean;
};
type Lock = { packages: Record<string, Entry> };
type Missing = { readonly name: string; readonly version: string; readonly owner: string };

const FILE = join(REPOSITORY, "package-lock.json");
const AGAIN = "run npm install --package-lock-only, then node tests/src/lockfile.ts";
/** How packages with a binary are named: "cli-linux-arm64-musl", "buf-win32-x64". */
const PLATFORM = /-(android|darwin|linux|win32)-(arm64|x64|armv7)(-musl)?$/;

export function checkLockfile(): string[] {
  const lock = readLock();
  const stale = Object.keys(lock.packages)
    .filter(
      (folder) => folder !== "" && !folder.includes("node_modules") && existsSync(join(REPOSITORY, folder)),
    )
    .filter(
      (folder) => !sameDependencies(lock.packages[folder]!.dependencies, readManifest(folder).dependencies),
    )
    .map((folder) => `package-lock.json has other dependencies than ${folder}/package.json: ${AGAIN}`);
  const missing = missingOptional(lock).map(
    ({ name, version }) => `package-lock.json has no entry for ${name}@${version}: ${AGAIN}`,
  );
  return [...stale, ...missing];
}

function readLock(): Lock {
  return JSON.parse(readFileSync(FILE, "utf8")) as Lock;
}

function sameDependencies(locked: Dependencies = {}, declared: Dependencies = {}): boolean {
  const names = new Set([...Object.keys(locked), ...Object.keys(declared)]);
  return [...names].every((name) => locked[name] === declared[name]);
}

function missingOptional({ packages }: Lock): Missing[] {
  return Object.entries(packages).flatMap(([owner, entry]) =>
    Object.entries(entry.optionalDependencies ?? {})
      .filter(([name]) => !packages[`node_modules/${name}`] && !packages[`${owner}/node_modules/${name}`])
      .map(([name, version]) => ({ name, version, owner })),
  );
}

/** The entry that npm writes for a package of another platform, but for its address and hash, which only it could ask for. */
function entryOf({ name, version }: Missing, owner: Entry): Entry {
  const match = PLATFORM.exec(name);
  if (!match)
    throw new Error(`${name} does not say its platform: add its entry to package-lock.json by hand`);
  const [, os, cpu, libc] = match;
  return {
    version: version.replace(/^[~^]/, ""),
    ...{ cpu: [cpu === "armv7" ? "arm" : cpu] },
    ...(owner.dev ? { dev: true } : {}),
    ...(libc ? { libc: ["musl"] } : {}),
    ...{ optional: true, os: [os] },
  };
}

function complete(): void {
  const lock = readLock();
  for (const missing of missingOptional(lock)) {
    lock.packages[`node_modules/${missing.name}`] = entryOf(missing, lock.packages[missing.owner]!);
  }
  const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en"));
  writeFileSync(FILE, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
}

if (import.meta.main) complete();
