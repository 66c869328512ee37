/**
 * The real engine for tests: the socket that UNDERSTUDY_DOCKER_SOCKET or DOCKER_HOST names, or Docker's own. Tests that
 * need it say why they are skipped where there is none. Everything made here carries one label and goes in the end.
 */

import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";

export const IMAGE = "node:24-bookworm-slim";
const COMMAND_TIMEOUT_MS = 60_000;

export const SOCKET =
  process.env.UNDERSTUDY_DOCKER_SOCKET ??
  process.env.DOCKER_HOST?.replace(/^unix:\/\//, "") ??
  "/var/run/docker.sock";

/** False, or why tests against the engine are skipped. */
export function whyNoEngine(): string | false {
  if (!existsSync(SOCKET)) return `no container engine at ${SOCKET}`;
  try {
    docker("image", "inspect", IMAGE);
    return false;
  } catch (error) {
    return `no image ${IMAGE} at ${SOCKET}: ${String((error as { stderr?: unknown }).stderr ?? error).trim()}`;
  }
}

export function docker(...args: readonly string[]): string {
  return execFileSync("docker", ["--host", `unix://${SOCKET}`, ...args], {
    encoding: "utf8",
    timeout: COMMAND_TIMEOUT_MS,
    stdio: ["ignore", "pipe", "pipe"],
  }).trim();
}

/** A label of its own; `close` removes all that carries it, and what the driver made for it. */
export function openScene(): {
  readonly label: string;
  readonly name: string;
  close(manager?: string): void;
} {
  const name = `understudy-test-${randomUUID().slice(0, 8)}`;
  const label = `understudy.test=${name}`;
  return {
    label,
    name,
    close: (manager) => {
      const filters = [label, ...(manager ? [`understudy.manager=${manager}`] : [])];
      const found = (...list: readonly string[]) =>
        filters.map((filter) => docker(...list, "--filter", `label=${filter}`)).filter((ids) => ids !== "");
      for (const ids of found("ps", "-aq")) remove(ids, ["rm", "-f", "-v"]);
      for (const ids of found("volume", "ls", "-q")) remove(ids, ["volume", "rm", "-f"]);
      for (const ids of found("network", "ls", "-q")) remove(ids, ["network", "rm"]);
    },
  };
}

function remove(ids: string, command: readonly string[]): void {
  docker(...command, ...ids.split("\n"));
}
