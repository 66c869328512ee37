/**
 * Stops every process of a writer at once, and lets it go on: by the freezer of its control group where it has one of its
 * own (version 2 or 1), otherwise by SIGSTOP to its process group. What is stopped is named so that a later process of
 * ours can let it go on.
 */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, MirrorError } from "./error.ts";

export type WriterProcess = {
  /** Also the number of its process group. */
  readonly pid: number;
  /** Field 22 of /proc/PID/stat. */
  readonly startTicks: number;
};

export type Frozen =
  | { readonly how: "cgroup-v2" | "cgroup-v1"; readonly folder: string }
  | ({ readonly how: "signal" } & WriterProcess);

const CGROUPS = "/sys/fs/cgroup";
const POLL_MS = 1;
const GONE = new Set(["ENOENT", "ESRCH", "ENODEV"]);
/** The last of a group to stop may be waiting for a disk. */
const STOP_MS_MAX = 500;

/** How this writer would be frozen; undefined when it does not run. */
export function freezeHow(writer: WriterProcess): Frozen | undefined {
  if (statOf(writer.pid)?.startTicks !== writer.startTicks) return undefined;
  return cgroupOf(writer.pid) ?? { how: "signal", ...writer };
}

/** Resolves when nothing of it runs any more; throws when it does not stop in time, and then it goes on. */
export async function freeze(frozen: Frozen): Promise<void> {
  set(frozen, true);
  const deadline = performance.now() + STOP_MS_MAX;
  while (!isStill(frozen)) {
    if (performance.now() > deadline) {
      thaw(frozen);
      throw new MirrorError("io", `the writer did not stop within ${STOP_MS_MAX} ms`);
    }
    await sleep(POLL_MS);
  }
}

/** Harmless when it runs, or is gone. */
export function thaw(frozen: Frozen): void {
  set(frozen, false);
}

function set(frozen: Frozen, still: boolean): void {
  try {
    if (frozen.how === "signal") {
      // The number of a group that is gone may be somebody else's by now.
      if (membersOf(frozen).length > 0) process.kill(-frozen.pid, still ? "SIGSTOP" : "SIGCONT");
    } else if (frozen.how === "cgroup-v2")
      writeFileSync(join(frozen.folder, "cgroup.freeze"), still ? "1" : "0");
    else writeFileSync(join(frozen.folder, "freezer.state"), still ? "FROZEN" : "THAWED");
  } catch (error) {
    if (!GONE.has(errnoOf(error))) throw error;
  }
}

function isStill(frozen: Frozen): boolean {
  switch (frozen.how) {
    case "cgroup-v2":
      return textOf(join(frozen.folder, "cgroup.events")).includes("frozen 1");
    case "cgroup-v1":
      return textOf(join(frozen.folder, "freezer.state")).trim() === "FROZEN";
    case "signal":
      return membersOf(frozen).every((pid) => threadsOf(pid).every((state) => "TtZX".includes(state)));
  }
}

/** Of the group, while the process that leads it is the one that was meant, or some of its children outlived it. */
function membersOf({ pid, startTicks }: WriterProcess): number[] {
  const leader = statOf(pid);
  if (leader && leader.startTicks !== startTicks) return [];
  return readdirSync("/proc")
    .map(Number)
    .filter((each) => each > 0 && statOf(each)?.group === pid);
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => statOf(pid, `task/${thread}/`)?.state ?? "X");
  } catch {
    return [];
  }
}

type Stat = { readonly state: string; readonly group: number; readonly startTicks: number };

function statOf(pid: number, below = ""): Stat | undefined {
  const text = textOf(`/proc/${pid}/${below}stat`);
  if (text === "") return undefined;
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0]!, group: Number(fields[2]), startTicks: Number(fields[19]) };
}

/** Its own control group: not one that we are in as well, or that has ours below it. */
function cgroupOf(pid: number): Frozen | undefined {
  const [theirs, ours] = [cgroupsOf(pid), cgroupsOf("self")];
  const own = (kind: string) => {
    const [its, mine] = [theirs.get(kind), ours.get(kind) ?? "/"];
    return its !== undefined && its !== "/" && its !== mine && !mine.startsWith(`${its}/`) ? its : undefined;
  };
  for (const mount of [CGROUPS, join(CGROUPS, "unified")]) {
    const folder = own("") && join(mount, own("")!);
    if (folder && textOf(join(folder, "cgroup.freeze")) !== "") return { how: "cgroup-v2", folder };
  }
  const folder = own("freezer") && join(CGROUPS, "freezer", own("freezer")!);
  return folder && textOf(join(folder, "freezer.state")) !== "" ? { how: "cgroup-v1", folder } : undefined;
}

/** The path in each hierarchy, by controller; "" is version 2. */
function cgroupsOf(pid: number | "self"): Map<string, string> {
  const lines = textOf(`/proc/${pid}/cgroup`).trim().split("\n");
  return new Map(
    lines.flatMap((line) => {
      const [, controllers = "", path = "/"] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      return controllers.split(",").map((controller) => [controller, path] as const);
    }),
  );
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
