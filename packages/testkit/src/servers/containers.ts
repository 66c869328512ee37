/**
 * A server in a container of its own, through testcontainers: as deployments run it, for tests that ask for that. It lies
 * on the host's network with the run's folder at the same path inside, so one configuration serves program and container.
 */

import { execFileSync } from "node:child_process";
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer } from "testcontainers";
import type { Child } from "../child.ts";
import { TestkitError } from "../error.ts";
import type { Run } from "../run.ts";
import { recordContainer } from "../run-containers.ts";
import { waitFor } from "../wait.ts";
import type { ServerSpec } from "./server.ts";

const READY_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 8000;
const SIGNAL_WITHIN_MS = 5000;

// The run's own guardian removes what is left behind; the reaper would be one more image to pull.
process.env.TESTCONTAINERS_RYUK_DISABLED ??= "true";

export async function startContainer(
  run: Run,
  spec: ServerSpec & { readonly image: string },
): Promise<Child> {
  const container = await create(run, spec);
  let [running, starts] = [true, 1];

  const engine = await getContainerRuntimeClient();
  const id = container.getId();

  /** At once, as for a child: whoever pauses a server measures from the return of the call. */
  function send(signal: NodeJS.Signals): void {
    execFileSync("docker", ["kill", "--signal", signal, id], { stdio: "ignore", timeout: SIGNAL_WITHIN_MS });
  }

  async function ready(): Promise<void> {
    try {
      await waitFor(spec.isReady, { withinMs: READY_WITHIN_MS });
    } catch (cause) {
      throw new TestkitError("not-ready", `${spec.program} in its container does not answer`, { cause });
    }
  }

  async function end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (!running) return;
    running = false;
    if (signal === "SIGKILL") send(signal);
    // Waits for its end in either case; it is kept, to be started again as it was.
    await container.stop({ timeout: STOP_WITHIN_MS, remove: false });
  }

  const child: Child = {
    // It is the engine's child, in a process namespace of its own.
    pid: () => undefined,
    starts: () => starts,
    ready,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    async restart() {
      await end("SIGTERM");
      // Not the library's restart: it follows the container's log, which keeps the process of the test alive.
      await engine.container.getById(id).start();
      [running, starts] = [true, starts + 1];
      await ready();
    },
    signal: send,
  };
  await ready();
  return child;
}

function create(
  run: Run,
  { program, folder, args, image }: ServerSpec & { readonly image: string },
): Promise<StartedTestContainer> {
  const name = `understudy-${run.id}-${folder.split("/").at(-1)}`;
  recordContainer(run, name);
  return new GenericContainer(image)
    .withName(name)
    .withNetworkMode("host")
    .withUser(`${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`)
    .withBindMounts([{ source: run.folder, target: run.folder, mode: "rw" }])
    .withEntrypoint([program])
    .withCommand([...args])
    .start();
}
