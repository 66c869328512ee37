/**
 * The demo's instances as containers: the example service under a processor quota, started with `docker run` like anybody's
 * and adopted as it runs. Its requests compute, so it saturates by its quota; its shadows inherit that from it.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { openEngine } from "@understudy/resource/docker-engine";
import { type ContainerStage, checkImage, openContainerStage } from "@understudy/testkit/container-stage";
import type { Run } from "@understudy/testkit/run";
import { waitFor } from "@understudy/testkit/wait";
import { CliError } from "../error.ts";
import { RESOURCE } from "./configuration.ts";

const BUILD = "docker build --build-arg SERVICE=catalog -t understudy-example-catalog .";

/** What it finds where. */
export const INSIDE = {
  state: "/state",
  role: "/run/understudy",
  roleFile: "/run/understudy/role.json",
  tls: "/etc/understudy/tls",
  port: 8080,
} as const;

/** Resource and instance are what the replicator calls it: whoever is adopted is the first. */
const ENVIRONMENT = {
  UNDERSTUDY_RESOURCE: RESOURCE,
  UNDERSTUDY_INSTANCE: `${RESOURCE}-1`,
  UNDERSTUDY_STATE_DIR: INSIDE.state,
  UNDERSTUDY_PORT: String(INSIDE.port),
  UNDERSTUDY_ROLE_FILE: INSIDE.roleFile,
  UNDERSTUDY_TLS_DIR: INSIDE.tls,
  UNDERSTUDY_ADDRESS: "0.0.0.0",
};

/** A program under a quarter of a processor needs some seconds to begin, and more on a busy machine. */
const UP_WITHIN_MS = 60_000;
const ASK_WITHIN_MS = 1_000;

export type DemoContainers = {
  readonly stage: ContainerStage;
  /** Name of the container that is adopted. */
  readonly name: string;
  /** Where it keeps its state on this machine. */
  readonly stateDir: string;
  /** Starts it and resolves when it answers. `env`: of the service; `args`: more arguments of `docker run`. */
  start(options: {
    readonly tlsDir: string;
    readonly env: Readonly<Record<string, string>>;
    readonly args?: readonly string[];
  }): Promise<void>;
  /** SIGKILL through the engine, as `docker kill` does. */
  kill(instance: string): Promise<void>;
};

/** Throws CliError with the remedy where there is no engine or no image. */
export async function openDemoContainers(run: Run, image: string): Promise<DemoContainers> {
  const stage = await openContainerStage(run);
  await checkImage(stage, image, `build the example service (${BUILD}), or name another with --image`);
  const engine = openEngine(stage.socket);
  const name = `understudy-${run.id}-catalog`;
  /** Whether it answers anything: it waits for its role by then. Throws CliError with its last words when it has ended. */
  async function answers(): Promise<boolean> {
    const inspect = await engine.inspect(name);
    if (!inspect?.State.Running) {
      const said = (await stage.docker("logs", "--tail", "1", name).catch(() => "")) || "it said nothing";
      throw new CliError(
        "failed",
        `image ${image} is not the example service of this version (${said}): ${BUILD}`,
      );
    }
    const address = inspect.NetworkSettings.Networks?.[stage.network]?.IPAddress ?? "";
    const response = await fetch(`http://${address}:${INSIDE.port}/healthz`, {
      signal: AbortSignal.timeout(ASK_WITHIN_MS),
    }).catch(() => undefined);
    await response?.arrayBuffer();
    return response !== undefined;
  }

  const folders = { state: join(run.folder, "primary-state"), role: join(run.folder, "primary-role") };
  return {
    stage,
    name,
    stateDir: folders.state,
    async start({ tlsDir, env, args = [] }) {
      for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true, mode: 0o700 });
      await stage.start(name, [
        ...["--user", `${process.getuid!()}:${process.getgid!()}`, ...args],
        ...["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"],
        ...["--label", "understudy.enable=true", "--no-healthcheck"],
        ...["--volume", `${folders.state}:${INSIDE.state}`, "--volume", `${folders.role}:${INSIDE.role}:ro`],
        ...["--volume", `${tlsDir}:${INSIDE.tls}:ro`],
        ...Object.entries({ ...ENVIRONMENT, ...env }).flatMap(([key, value]) => ["--env", `${key}=${value}`]),
        image,
      ]);
      await waitFor(() => answers(), { withinMs: UP_WITHIN_MS, what: `an answer of container ${name}` });
    },
    async kill(instance) {
      const made = await engine.listLabelled([stage.label, `understudy.instance=${instance}`]);
      const running = await Promise.all([...made, name].map((id) => engine.inspect(id)));
      const found = running.find((each) => each?.State.Running);
      if (!found) throw new CliError("failed", `the container of ${RESOURCE}'s ${instance} does not run`);
      await engine.kill(found.Id, "SIGKILL");
    },
  };
}
