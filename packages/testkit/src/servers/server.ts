/** A server program as a child of ours, however it was found: the file itself, or a container that stands for it. */

import { spawn } from "node:child_process";
import { type Child, startChild } from "../child.ts";
import { TestkitError } from "../error.ts";
import { NICENESS } from "../niceness.ts";
import type { Run } from "../run.ts";
import { recordContainer } from "../run-containers.ts";
import { containerArguments, findImage } from "./docker.ts";
import { howToInstall } from "./install-hint.ts";
import type { ServerName } from "./names.ts";
import { findProgram } from "./program.ts";

/** "containers" or "programs": the only way servers are started that may be either; by default, containers where there is an engine. */
const CHOICE_VARIABLE = "UNDERSTUDY_SERVERS";

export type ServerSpec = {
  readonly program: ServerName;
  /** Inside the run's folder; holds its configuration, data and log. */
  readonly folder: string;
  readonly args: readonly string[];
  readonly isReady: () => Promise<boolean>;
  /** In a container where an engine is there: for tests of what deployments run in one. Which it was is said. */
  readonly prefer?: "container";
};

export async function startServer(run: Run, spec: ServerSpec): Promise<Child> {
  return (await startPreferred(run, spec)) ?? startProgram(run, spec);
}

async function startPreferred(run: Run, spec: ServerSpec): Promise<Child | undefined> {
  const choice = process.env[CHOICE_VARIABLE];
  if (spec.prefer !== "container" || choice === "programs") return undefined;
  const found = await findImage(spec.program);
  if ("image" in found) {
    process.stderr.write(`${spec.program}: in a container of ${found.image}\n`);
    // Only tests load it: it is not among what a deployment installs.
    const { startContainer } = await import("./containers.ts");
    return startContainer(run, { ...spec, ...found });
  }
  if (choice === "containers") throw new TestkitError("not-found", howToInstall(spec.program, [found.why]));
  process.stderr.write(`${spec.program}: the program, because ${found.why}\n`);
  return undefined;
}

async function startProgram(run: Run, spec: ServerSpec): Promise<Child> {
  const program = await findProgram(spec.program);
  const niceness = spec.program === "redis-server" ? NICENESS.replication : NICENESS.traffic;
  const common = { name: spec.program, folder: spec.folder, isReady: spec.isReady, niceness };
  if (program.how !== "docker") {
    return startChild(run, { ...common, file: program.file, args: () => spec.args, env: program.env });
  }
  // A name of its own for each start: Docker frees the last one's name only a moment after its end.
  const nameOf = (start: number) => `understudy-${run.id}-${spec.folder.split("/").at(-1)}-${start}`;
  return startChild(run, {
    ...common,
    file: "docker",
    env: {},
    args: (start) => {
      recordContainer(run, nameOf(start));
      return containerArguments({
        ...spec,
        image: program.image,
        container: nameOf(start),
        folder: run.folder,
      });
    },
    send: (signal, start) => {
      spawn("docker", ["kill", "--signal", signal, nameOf(start)], { stdio: "ignore" }).unref();
    },
  });
}
