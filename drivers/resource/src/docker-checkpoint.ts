/**
 * Memory state by CRIU: asked for in the configuration, and refused with the reason. What stands in the way on this host
 * is said first; where nothing does, that the driver does not use it: it would move a program's memory from one container into another, and no host on which it
 * has been tested could run CRIU.
 */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Engine } from "./docker-engine.ts";
import { ResourceError } from "./driver.ts";

const run = promisify(execFile);
const CHECK_WITHIN_MS = 10_000;
const QUOTE_MAX = 200;

export type CheckpointFacts = {
  readonly engine: "docker" | "podman";
  /** Docker has checkpoints only among its experiments. */
  readonly experimental: boolean;
  /** What `criu check` found wrong with this kernel; "" when nothing. */
  readonly criu: "missing" | { readonly wrong: string };
};

export async function checkpointFacts(engine: Engine): Promise<CheckpointFacts> {
  const [kind, experimental, criu] = await Promise.all([engine.kind(), engine.isExperimental(), checkCriu()]);
  return { engine: kind, experimental, criu };
}

async function checkCriu(): Promise<CheckpointFacts["criu"]> {
  try {
    await run("criu", ["check"], { timeout: CHECK_WITHIN_MS });
    return { wrong: "" };
  } catch (error) {
    const { code, stderr = "", message } = error as NodeJS.ErrnoException & { stderr?: string };
    if (code === "ENOENT") return "missing";
    return { wrong: (stderr.trim() || message).split("\n")[0]!.slice(0, QUOTE_MAX) };
  }
}

export function noCheckpoint(container: string, facts: CheckpointFacts): ResourceError {
  const why = `container ${container}: checkpoint criu is not available, because ${reasonOf(facts)}`;
  return new ResourceError("refused", `${why}: set container.checkpoint to none`);
}

function reasonOf({ engine, experimental, criu }: CheckpointFacts): string {
  if (criu === "missing") return "there is no program criu on this host";
  if (criu.wrong !== "") return `criu check says "${criu.wrong}" of this host`;
  if (engine === "docker" && !experimental)
    return 'the engine does not offer it ("experimental": true in its daemon.json would)';
  return "this version of Understudy does not move a program's memory";
}
