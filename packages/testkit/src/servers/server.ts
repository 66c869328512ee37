/** A server program as a child of ours, however it was found: the file itself, or a container that stands for it. */

import { spawn } from "node:child_process";
import { type Child, startChild } from "../child.ts";
import { NICENESS } from "../niceness.ts";
import { type Run, recordContainer } from "../run.ts";
import { containerArguments } from "./docker.ts";
import { findProgram, type ServerName } from "./program.ts";

export type ServerSpec = {
  readonly program: ServerName;
  /** Inside the run's folder; holds its configuration, data and log. */
  readonly folder: string;
  readonly args: readonly string[];
  readonly isReady: () => Promise<boolean>;
};

export async function startServer(run: Run, spec: ServerSpec): Promise<Child> {
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
