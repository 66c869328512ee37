/**
 * Containers for a run: the engine of this machine, a network of the run's own on which they and we reach each other, and
 * one label by which everything goes in the end, whoever made it.
 */

import { execFile, execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { promisify } from "node:util";
import { TestkitError } from "./error.ts";
import type { Run } from "./run.ts";
import { labelOfRun } from "./run-containers.ts";
import { RUN_VARIABLE } from "./run-processes.ts";

const run = promisify(execFile);

const SOCKET_DEFAULT = "/var/run/docker.sock";
const ASK_WITHIN_MS = 10_000;
const COMMAND_WITHIN_MS = 120_000;

export type ContainerStage = {
  /** Of the engine, for services that speak to it themselves. */
  readonly socket: string;
  readonly network: string;
  /** This machine's address on that network. */
  readonly gateway: string;
  /** "name=value", of everything made here. */
  readonly label: string;
  /** `docker run --detach` on that network, with the label. Resolves with its id when it runs. */
  start(name: string, args: readonly string[]): Promise<string>;
  docker(...args: readonly string[]): Promise<string>;
};

/** Throws TestkitError "not-found" with the remedy where there is no engine that we can use. */
export async function openContainerStage(owner: Run): Promise<ContainerStage> {
  const socket = findEngine();
  const label = labelOfRun(owner, socket);
  const docker = (...args: readonly string[]) => command(socket, args);
  const network = `understudy-${owner.id}`;
  await docker("network", "create", "--label", label, network);
  const gateway = await docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", network);
  if (gateway === "")
    throw new TestkitError("not-found", `the engine at ${socket} gave network ${network} no gateway`);
  return {
    socket,
    network,
    gateway,
    label,
    docker,
    start: (name, args) =>
      docker(
        ...["run", "--detach", "--name", name, "--label", label, "--network", network],
        // Its processes count as the run's own.
        ...["--env", `${RUN_VARIABLE}=${owner.id}`, ...args],
      ),
  };
}

/** The socket of an engine that answers: the one DOCKER_HOST names, or Docker's own. */
export function findEngine(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const host = env.DOCKER_HOST ?? "";
  const missing = (why: string) => new TestkitError("not-found", `no container engine to use: ${why}`);
  if (host !== "" && !host.startsWith("unix://"))
    throw missing(
      `DOCKER_HOST is ${host}: containers are protected through a socket on their own machine, unix:///...`,
    );
  const socket = host === "" ? SOCKET_DEFAULT : host.slice("unix://".length);
  if (!statSync(socket, { throwIfNoEntry: false })?.isSocket())
    throw missing(`there is no socket ${socket}: start Docker, or name its socket in DOCKER_HOST`);
  try {
    execFileSync("docker", ["--host", `unix://${socket}`, "version"], {
      stdio: ["ignore", "ignore", "pipe"],
      timeout: ASK_WITHIN_MS,
    });
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: Buffer };
    if (code === "ENOENT") throw missing("the command docker is not on PATH: apt-get install docker.io");
    throw missing(
      `docker at ${socket}: ${String(stderr ?? error)
        .trim()
        .split("\n")
        .at(-1)}`,
    );
  }
  return socket;
}

/** Throws TestkitError "not-found" with `remedy` when the engine has no such image. */
export async function checkImage(
  { docker }: Pick<ContainerStage, "docker">,
  image: string,
  remedy: string,
): Promise<void> {
  try {
    await docker("image", "inspect", "-f", "{{.Id}}", image);
  } catch (cause) {
    throw new TestkitError("not-found", `there is no image ${image}: ${remedy}`, { cause });
  }
}

async function command(socket: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run("docker", ["--host", `unix://${socket}`, ...args], {
      timeout: COMMAND_WITHIN_MS,
    });
    return stdout.trim();
  } catch (cause) {
    const said = String((cause as { stderr?: string }).stderr ?? cause).trim();
    throw new TestkitError("engine-refused", `docker ${args[0]}: ${said}`, { cause });
  }
}
