/**
 * The command of a container that waits: a shell reads one word from a pipe, and then becomes the program that the image
 * and its configuration name. Pure; and back again, for containers that are made from one that once waited.
 */

import type { ContainerConfig } from "./docker-types.ts";

/** Beside the role file. */
export const PIPE = "begin";

const SHELL = "/bin/sh";
/** An end without the word is an end: a program that starts by mistake would be a second primary. */
const SCRIPT = 'read -r word <"$0" && [ "$word" = begin ] && exec "$@"; exit 1';

type Command = {
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly Healthcheck: { readonly Test: readonly string[] };
};

/** `pipe`: where the container sees it. What waits has no health, and would be restarted for it by some. */
export function waitingCommand(config: ContainerConfig, pipe: string): Command {
  const program = [...words(config.Entrypoint), ...words(config.Cmd)];
  return {
    Entrypoint: [SHELL, "-c", SCRIPT, pipe, ...program],
    Cmd: [],
    Healthcheck: { Test: ["NONE"] },
  };
}

/** The program of a container that waited; of any other what it has. */
export function programOf(config: ContainerConfig): Pick<Command, "Entrypoint" | "Cmd"> | undefined {
  const [shell, flag, script, , ...program] = words(config.Entrypoint);
  if (shell !== SHELL || flag !== "-c" || script !== SCRIPT) return undefined;
  return { Entrypoint: program, Cmd: [] };
}

function words(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
