/**
 * Server programs from Debian packages without root: apt with private directories downloads them, `dpkg-deb -x` unpacks
 * them into `.understudy/servers/<name>`. Nothing is installed, no service is started, no default port is taken.
 */

import { execFile } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { OWN_FOLDER } from "../run-folder.ts";
import type { ServerName } from "./names.ts";

const run = promisify(execFile);

const SERVERS = join(OWN_FOLDER, "servers");
/** Besides Debian's own signature check, what bounds a mirror that hangs. */
const APT_TIMEOUT_MS = 120_000;
const PROGRAM_FOLDERS = ["usr/sbin", "usr/bin"];
const PACKAGE_FILE = /^Inst (\S+)/gm;

export type Unpacked = { readonly file: string; readonly env: Readonly<Record<string, string>> };

export function findUnpacked(name: ServerName): Unpacked | undefined {
  const tree = join(SERVERS, name);
  const file = PROGRAM_FOLDERS.map((folder) => join(tree, folder, name)).find((path) => existsSync(path));
  if (!file) return undefined;
  const libraries = globSync([join(tree, "usr/lib/*-linux-gnu"), join(tree, "lib/*-linux-gnu")]);
  return { file, env: libraries.length > 0 ? { LD_LIBRARY_PATH: libraries.join(":") } : {} };
}

/** Downloads and unpacks; two processes that do it at once both succeed, because a tree appears whole by rename. */
export async function unpackDebian(name: ServerName): Promise<Unpacked | { readonly why: string }> {
  if (!existsSync("/usr/bin/apt-get") || !existsSync("/usr/bin/dpkg-deb"))
    return { why: "this is no Debian or Ubuntu" };
  await mkdir(SERVERS, { recursive: true });
  const work = await mkdtemp(join(SERVERS, ".unpack-"));
  process.stderr.write(
    `understudy: ${name} is not installed; unpacking Debian's package into .understudy (about 10 s)\n`,
  );
  try {
    await unpackInto(work, name);
    await rename(join(work, "tree"), join(SERVERS, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
  } catch (error) {
    return { why: `Debian's package could not be had (${firstLine(error)})` };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return findUnpacked(name) ?? { why: `Debian's package of ${name} holds no such program` };
}

async function unpackInto(work: string, name: ServerName): Promise<void> {
  for (const folder of ["lists/partial", "cache/archives/partial", "packages", "tree"]) {
    await mkdir(join(work, folder), { recursive: true });
  }
  const options = privateDirectories(work);
  const limits = { cwd: join(work, "packages"), timeout: APT_TIMEOUT_MS };
  await run("apt-get", [...options, "-qq", "update"], limits);
  // Asking apt which packages a real installation would add finds exactly the libraries that are missing on this machine.
  const plan = await run("apt-get", [...options, "-s", "--no-install-recommends", "install", name], limits);
  const packages = [...plan.stdout.matchAll(PACKAGE_FILE)].map((match) => match[1]!);
  if (packages.length === 0) packages.push(name);
  await run("apt-get", [...options, "-qq", "download", ...packages], limits);
  for (const file of globSync(join(work, "packages/*.deb")))
    await run("dpkg-deb", ["-x", file, join(work, "tree")], limits);
}

function privateDirectories(work: string): string[] {
  return [
    `Dir::State=${work}`,
    `Dir::State::lists=${work}/lists`,
    "Dir::State::status=/var/lib/dpkg/status",
    `Dir::Cache=${work}/cache`,
    // The sandbox user of apt may not write to our folder.
    `APT::Sandbox::User=`,
    "Debug::NoLocking=1",
  ].flatMap((setting) => ["-o", setting]);
}

function firstLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr?.trim() || message).split("\n")[0]!.slice(0, 200);
}
