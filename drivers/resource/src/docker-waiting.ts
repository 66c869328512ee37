/**
 * The container that waits beside a shadow to take its place. Starting a container costs an engine one to several seconds,
 * waking one that runs costs none: it has the state read-write and the primary's environment, but in place of its program a
 * shell that reads one word from a pipe and then becomes the program. It is on no network until then, so no name leads to it.
 * An image without a shell, and Podman, have no such container: there the promotion starts one.
 */

import { execFile } from "node:child_process";
import { closeSync, constants, openSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Containers } from "./docker-containers.ts";
import type { ContainerRecord } from "./docker-records.ts";
import { createContainer, templateFor } from "./docker-shadows.ts";
import { NO_NETWORK } from "./docker-spec.ts";
import { PIPE } from "./docker-wait-command.ts";
import { ResourceError, type StartRequest } from "./driver.ts";
import { nameOf } from "./records.ts";
import { asResourceError } from "./start-failure.ts";

const run = promisify(execFile);
const PIPE_WITHIN_MS = 5000;

/** Runs beside a shadow that has just been started. Throws when it cannot be made; then the promotion starts one. */
export async function prepareWaiting(here: Containers, request: StartRequest): Promise<void> {
  const shadow = here.get(request);
  if (!shadow || !mayWait(here, shadow, request)) return;
  try {
    if ((await here.engine.kind()) === "docker") await makeWaiting(here, request, shadow);
  } catch (error) {
    // It was ended meanwhile, and with it went what this needed.
    if (here.get(request)?.container !== shadow.container) return;
    const { message } = asResourceError(error, "no container can wait beside it");
    throw new ResourceError(
      "start-failed",
      `${nameOf(request)}: its promotion will start a container: ${message}`,
    );
  }
}

async function makeWaiting(here: Containers, request: StartRequest, shadow: ContainerRecord): Promise<void> {
  const name = `understudy-${request.instance}-${request.incarnation}-primary`;
  const template = await templateFor(here, request);
  await makePipe(join(here.files.roleFolder(request), PIPE));
  const role = { ...request.role, role: "primary" } as const;
  const how = { name, template, readOnly: false, aliases: [], waits: true };
  const container = await createContainer(here, { ...request, role }, how);
  try {
    await here.engine.start(container, name);
    await here.engine.disconnect(NO_NETWORK, container);
  } catch (error) {
    here.removeLater(container);
    throw error;
  }
  const now = here.get(request);
  if (now?.container === shadow.container && now.role === "shadow")
    here.update({ ...now, waiting: container });
  else here.removeLater(container);
}

function mayWait(here: Containers, shadow: ContainerRecord, request: StartRequest): boolean {
  const { container: spec } = here.specOf(request);
  return (
    spec.onPromote === "restart" &&
    !shadow.adopted &&
    shadow.role === "shadow" &&
    shadow.waiting === undefined &&
    shadow.running.incarnation === request.incarnation
  );
}

async function makePipe(path: string): Promise<void> {
  if (statSync(path, { throwIfNoEntry: false })?.isFIFO()) return;
  await run("mkfifo", ["-m", "644", path], { timeout: PIPE_WITHIN_MS });
}

export type Door = {
  /** From here on the program runs. */
  open(): void;
  /** Lets the one who waits end. After `open` it does nothing. */
  close(): void;
};

/** To the container that waits for this shadow; undefined when none does. */
export function doorOf(here: Containers, { running, waiting }: ContainerRecord): Door | undefined {
  if (waiting === undefined) return undefined;
  let pipe: number | undefined;
  try {
    // Without a reader on the other side this fails, and does not wait for one.
    const { O_WRONLY, O_NONBLOCK } = constants;
    pipe = openSync(join(here.files.roleFolder(running), PIPE), O_WRONLY | O_NONBLOCK);
  } catch {
    return undefined;
  }
  const close = () => {
    if (pipe !== undefined) closeSync(pipe);
    pipe = undefined;
  };
  const open = () => {
    if (pipe !== undefined) writeSync(pipe, "begin\n");
    close();
  };
  return { open, close };
}
