/**
 * How a reader on a shadow holds on to one version of a state of files while it reads several of them. A pin is a file
 * named TREE-PID-STARTTICKS-NUMBER in `versions/pins`: any language can make one. Make it, then look whether
 * `versions/doomed/TREE` is there; if so, remove the pin and begin again. A pin counts for as long as its process lives,
 * and for no longer than PIN_MAX_MS. Promotion ends all pins: who reads then reads a state that is written to.
 */

import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { open, realpath, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, MirrorError } from "./error.ts";

/** A reader that hangs must not hold up the shadow for ever. */
export const PIN_MAX_MS = 60_000;
const ATTEMPTS_MAX = 100;
/** A version that goes while its path is being resolved looks like a path that is not there: the next resolve is of another one. */
const RESOLVES_MAX = 3;
const IN_TREE = /^(?<home>.*\/versions)\/trees\/(?<tree>\d+)(?:\/|$)/;

export type PinnedVersion = {
  /** The same path within one version: read from here. */
  readonly path: string;
  release(): Promise<void>;
};

let pinned = 0;

/** Pins the version that `path`, a mirrored path or something below one, shows now. On a primary there is nothing to pin. */
export async function pinVersion(path: string): Promise<PinnedVersion> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const real = await resolved(path);
    const { home, tree } = IN_TREE.exec(real)?.groups ?? {};
    if (home === undefined) return { path: real, release: async () => undefined };
    pinned += 1;
    const pin = join(home, "pins", `${tree}-${process.pid}-${startTicksOf(process.pid)}-${pinned}`);
    const release = () => rm(pin, { force: true });
    try {
      await (await open(pin, "w")).close();
    } catch (error) {
      // The state was handed over to a primary just now.
      if (errnoOf(error) === "ENOENT") continue;
      throw error;
    }
    const stays = !(await exists(join(home, "doomed", tree!))) && (await exists(real));
    if (stays) return { path: real, release };
    await release();
  }
  throw new MirrorError("io", `${path}: its versions change faster than one can be pinned`);
}

/** Whether a living reader has this tree pinned; pins that count no more are removed. */
export function isPinned(pins: string, tree: number): boolean {
  let found = false;
  for (const name of readdirSync(pins)) {
    const [number, pid, startTicks] = name.split("-");
    if (Number(number) !== tree) continue;
    const at = join(pins, name);
    const stats = statSync(at, { throwIfNoEntry: false });
    const isOld = !stats || Date.now() - stats.mtimeMs > PIN_MAX_MS;
    if (isOld || startTicksOf(Number(pid)) !== startTicks) rmSync(at, { force: true });
    else found = true;
  }
  return found;
}

async function resolved(path: string): Promise<string> {
  for (let resolve = 1; ; resolve += 1) {
    try {
      return await realpath(path);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT" || resolve === RESOLVES_MAX) throw error;
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Field 22 of /proc/PID/stat: with the number it names a process for good. Empty when there is none. */
function startTicksOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}
