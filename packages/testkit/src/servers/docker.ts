/** Server programs from Docker, on the host's network and with the run's folder at the same path inside. Linux only. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { ServerName } from "./names.ts";

const run = promisify(execFile);

const IMAGES: Record<ServerName, string> = {
  "nats-server": "nats:2.12-alpine",
  "redis-server": "redis:8-alpine",
  haproxy: "haproxy:3.2-alpine",
};
const PULL_TIMEOUT_MS = 180_000;
const ASK_TIMEOUT_MS = 5000;

/** An image that is present after this call, pulled when need be. */
export async function findImage(name: ServerName): Promise<{ image: string } | { why: string }> {
  const image = IMAGES[name];
  try {
    await run("docker", ["version"], { timeout: ASK_TIMEOUT_MS });
  } catch {
    return { why: "Docker does not answer" };
  }
  try {
    await run("docker", ["image", "inspect", image], { timeout: ASK_TIMEOUT_MS });
    return { image };
  } catch {
    return pull(image);
  }
}

async function pull(image: string): Promise<{ image: string } | { why: string }> {
  try {
    await run("docker", ["pull", "--quiet", image], { timeout: PULL_TIMEOUT_MS });
    return { image };
  } catch {
    return { why: `Docker cannot pull ${image}` };
  }
}

/** Arguments of `docker` that run a server as if it were a child of ours. */
export function containerArguments(options: {
  image: string;
  container: string;
  folder: string;
  program: ServerName;
  args: readonly string[];
}): string[] {
  const owner = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  return [
    ...["run", "--rm", "--init", "--name", options.container, "--network", "host", "--user", owner],
    ...["--volume", `${options.folder}:${options.folder}`, "--entrypoint", options.program, options.image],
    ...options.args,
  ];
}
