/**
 * Making containers of our own from what the engine says of the primary, and starting them. A container is recorded
 * before it is started: an engine that answers too late, or a replicator that dies in between, must not leave one running
 * of which nobody knows.
 */

import { realpathSync } from "node:fs";
import type { ContainerSpec } from "@understudy/model/policy";
import {
  type Asked,
  type AskedRole,
  type Containers,
  NOT_KNOWN,
  notThere,
  processOf,
  type RunSpec,
  recordOfRunning,
} from "./docker-containers.ts";
import type { ContainerRecord } from "./docker-records.ts";
import { addressOf, LABELS, roleFileInside, type ShadowWish, shadowBody } from "./docker-spec.ts";
import type { ContainerInspect } from "./docker-types.ts";
import { ResourceError, type RunningInstance, type StartRequest } from "./driver.ts";
import { nameOf } from "./records.ts";
import { asResourceError } from "./start-failure.ts";

/** On a container of ours: which folder it has as its state. */
export const STATE_SOURCE_LABEL = "understudy.state-source";

export async function makeShadow(here: Containers, request: StartRequest): Promise<RunningInstance> {
  const { container: spec } = here.specOf(request);
  const template = await templateFor(here, request);
  here.files.saveRole(request, request.role);
  const name = `understudy-${request.instance}-${request.incarnation}`;
  const readOnly = request.role.role === "shadow" && mayBeReadOnly(here.specOf(request));
  const container = await createContainer(here, request, {
    name,
    template,
    readOnly,
    aliases: [request.instance],
    waits: false,
  });
  return runContainer(here, request, { container, name, spec });
}

/** What containers of ours are made from: the primary as it runs, or as it was when it was adopted. */
export async function templateFor(here: Containers, asked: Asked): Promise<ContainerInspect> {
  const { name } = here.specOf(asked).container;
  const template = (await here.engine.inspect(name)) ?? here.files.adoption(asked.resource)?.template;
  if (template) return template;
  throw notThere(name);
}

/** A WAL database does not open on a read-only mount, and only a restart turns a mount read-write. */
function mayBeReadOnly({ container, state }: RunSpec & { container: ContainerSpec }): boolean {
  return container.onPromote === "restart" && state.consistency !== "sqlite";
}

/** Made, connected to its networks and not started. Returns its id. */
export async function createContainer(
  here: Containers,
  request: StartRequest,
  how: Pick<ShadowWish, "template" | "aliases" | "waits"> & {
    readonly name: string;
    readonly readOnly: boolean;
  },
): Promise<string> {
  const { container: spec } = here.specOf(request);
  const { template, name } = how;
  const { resource, instance, incarnation, role } = request;
  const { body, networks } = shadowBody({
    template,
    container: spec,
    env: {
      ...request.env,
      UNDERSTUDY_RESOURCE: resource,
      UNDERSTUDY_INSTANCE: instance,
      UNDERSTUDY_INCARNATION: incarnation,
      UNDERSTUDY_ROLE: role.role,
      UNDERSTUDY_STATE_DIR: spec.stateDir,
      UNDERSTUDY_PORT: String(spec.port),
      UNDERSTUDY_ROLE_FILE: roleFileInside(spec),
    },
    labels: {
      [LABELS.manager]: here.files.manager(),
      [LABELS.resource]: resource,
      [LABELS.instance]: instance,
      [LABELS.incarnation]: incarnation,
      [STATE_SOURCE_LABEL]: request.stateDir,
    },
    stateSource: await here.paths.toHost(realpathSync(request.stateDir), name),
    roleSource: await here.paths.toHost(here.files.roleFolder(request), name),
    stateReadOnly: how.readOnly,
    changes: await changesOf(here, template),
    aliases: how.aliases,
    network: here.network,
    waits: how.waits,
  });
  const container = await here.engine.create(name, body);
  try {
    for (const network of networks) await here.engine.connect(network, container, how.aliases);
  } catch (error) {
    here.removeLater(container);
    throw error;
  }
  return container;
}

/** Undefined when the primary is gone: then its root file system stays writable in shadows. */
async function changesOf(
  { engine }: Containers,
  { Id }: ContainerInspect,
): Promise<readonly string[] | undefined> {
  try {
    return await engine.changes(Id);
  } catch (error) {
    if (error instanceof ResourceError && error.code === "not-found") return undefined;
    throw error;
  }
}

export async function runContainer(
  here: Containers,
  request: AskedRole,
  how: {
    readonly container: string;
    readonly name: string;
    readonly spec: ContainerSpec;
    /** In place of starting it: it waits, and is told to begin. */
    readonly begin?: () => Promise<void>;
  },
): Promise<RunningInstance> {
  const { container, name, spec } = how;
  const { resource, instance, incarnation, role } = request;
  const who = { resource, instance, incarnation, address: NOT_KNOWN, pid: 0, pidStartTicks: 0 };
  const intent: ContainerRecord = { running: who, container, adopted: false, role: role.role };
  here.save(intent);
  try {
    await (how.begin?.() ?? here.engine.start(container, name));
    const inspect = await here.engine.inspect(container);
    if (!inspect?.State.Running) throw endedAtOnce(name, inspect);
    const record = recordOfRunning(request, inspect, { spec: here.reachedBy(spec, false), adopted: false });
    here.exits.release(container);
    here.save(record);
    return record.running;
  } catch (error) {
    await abandon(here, intent);
    throw asResourceError(error, `cannot start ${nameOf(request)}`);
  }
}

function endedAtOnce(name: string, inspect: ContainerInspect | undefined): ResourceError {
  const code = inspect?.State.ExitCode ?? "unknown";
  return new ResourceError(
    "start-failed",
    `container ${name} ended at once with code ${code}: see docker logs`,
  );
}

/** Our last process died, or gave up, between starting it and writing down where it is. */
export async function completed(here: Containers, record: ContainerRecord): Promise<ContainerRecord> {
  const { running, container } = record;
  if (running.address !== NOT_KNOWN) return record;
  const inspect = await here.engine.inspect(container);
  if (!inspect) return record;
  const { container: spec } = here.specOf(running);
  const address = addressOf(inspect, here.reachedBy(spec, record.adopted));
  const whole = { ...record, running: { ...running, address, ...processOf(inspect) } };
  here.exits.release(container);
  here.save(whole);
  return whole;
}

/** Where it cannot be removed now, its record stays, and the next start clears it away. */
async function abandon(here: Containers, intent: ContainerRecord): Promise<void> {
  here.exits.release(intent.container);
  try {
    await here.engine.remove(intent.container);
    here.forget(intent);
  } catch (error) {
    here.report(error as Error);
  }
}
