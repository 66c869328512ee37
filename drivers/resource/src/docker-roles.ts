/**
 * Telling a container its role, and making a shadow the primary: by its role file, by a signal, or by one restart, in
 * which a second container takes over its state read-write. Names on the network follow the role.
 */

import { posix } from "node:path";
import type { ContainerSpec } from "@understudy/model/policy";
import { type Containers, notThere, wasRemoved } from "./docker-containers.ts";
import { kill } from "./docker-fences.ts";
import { type ContainerRecord, saveRoleIn } from "./docker-records.ts";
import { createContainer, runContainer, STATE_SOURCE_LABEL, templateFor } from "./docker-shadows.ts";
import { addressOf, aliasesOf, mountOf, networksOf } from "./docker-spec.ts";
import { nameOfContainer } from "./docker-types.ts";
import { type Door, doorOf } from "./docker-waiting.ts";
import { ResourceError, type RoleOrder, type RunningInstance } from "./driver.ts";
import { nameOf } from "./records.ts";

/** Where the container reads it. An adopted one may read none. */
export async function saveRole(
  here: Containers,
  { running, container, adopted }: ContainerRecord,
  order: RoleOrder,
): Promise<void> {
  if (!adopted) return here.files.saveRole(running, order);
  const file = await adoptedRoleFile(here, running, container);
  if (file) saveRoleIn(file, order);
}

async function adoptedRoleFile(
  here: Containers,
  running: RunningInstance,
  container: string,
): Promise<string | undefined> {
  const { container: spec } = here.specOf(running);
  const template = here.files.adoption(running.resource)?.template;
  if (spec.roleFile === "" || !template) return undefined;
  const mount = mountOf(template, spec.roleFile);
  const host = posix.join(mount?.Source ?? "", posix.relative(mount?.Destination ?? "/", spec.roleFile));
  const own = mount && (await here.paths.toOwn(host));
  if (own) return own;
  const why = `container ${container.slice(0, 12)} reads its role at ${spec.roleFile}, which is on no mount that is here too: put a volume there, and into the replicator's container if it has one`;
  throw new ResourceError("refused", why);
}

/** Returns where it runs now, when that has changed. Its role order is written already. */
export async function changeRole(
  here: Containers,
  before: RunningInstance,
  order: RoleOrder,
): Promise<RunningInstance | undefined> {
  const record = here.recordOf(before);
  if (!record || record.role === order.role) return undefined;
  const { container: spec } = here.specOf(record.running);
  const promoted = order.role === "primary";
  here.update({ ...record, role: order.role });
  if (promoted && spec.onPromote === "restart" && !record.adopted) return replace(here, record, order);
  if (spec.onPromote.startsWith("SIG")) await here.engine.kill(record.container, spec.onPromote);
  return promoted && spec.takeNames ? takeNames(here, record) : undefined;
}

/** The one restart: by the container that waits for it, or by one that is made and started now. */
async function replace(
  here: Containers,
  record: ContainerRecord,
  order: RoleOrder,
): Promise<RunningInstance> {
  const door = doorOf(here, record);
  const listeners = here.exits.release(record.container);
  const now = await (door ? beginWaiting(here, record, { order, door }) : startAnother(here, record, order));
  for (const listener of listeners) here.exits.listen(containerOf(here, now), listener);
  here.removeLater(record.container);
  if (!door && record.waiting !== undefined) here.removeLater(record.waiting);
  return now;
}

function containerOf(here: Containers, running: RunningInstance): string {
  return here.recordOf(running)?.container ?? "";
}

/** It comes under the primary's names while the shadow is ended; its program begins when that is certain. */
async function beginWaiting(
  here: Containers,
  record: ContainerRecord,
  { order, door }: { order: RoleOrder; door: Door },
): Promise<RunningInstance> {
  const { running, waiting: container = "" } = record;
  const { container: spec } = here.specOf(running);
  try {
    const template = here.files.adoption(running.resource)?.template ?? (await templateFor(here, running));
    const networks = here.network ? [here.network] : networksOf(template, spec.network);
    const aliases = [running.instance, ...(await freeNames(here, record, spec))];
    const connected = connectAll(here, container, { networks, aliases });
    await Promise.all([connected, mustEnd(here, record)]);
    const begin = async () => door.open();
    const { instance: name } = running;
    return await runContainer(here, { ...running, role: order }, { container, name, spec, begin });
  } finally {
    door.close();
  }
}

async function connectAll(
  { engine }: Containers,
  container: string,
  { networks, aliases }: { networks: readonly string[]; aliases: readonly string[] },
): Promise<void> {
  for (const network of networks) await engine.connect(network, container, aliases);
}

/** The new container is ready before the old one ends. */
async function startAnother(
  here: Containers,
  record: ContainerRecord,
  order: RoleOrder,
): Promise<RunningInstance> {
  const { running } = record;
  const { container: spec } = here.specOf(running);
  const template = await here.engine.inspect(record.container);
  if (!template) throw notThere(running.instance);
  const name = `${nameOfContainer(template)}-again`;
  const stateDir = template.Config.Labels?.[STATE_SOURCE_LABEL] ?? "";
  const aliases = [running.instance, ...(await freeNames(here, record, spec))];
  const request = { ...running, stateDir, env: {}, role: order };
  const how = { name, template, readOnly: false, aliases, waits: false };
  const container = await createContainer(here, request, how);
  await mustEnd(here, record);
  return runContainer(here, request, { container, name, spec });
}

async function mustEnd(here: Containers, record: ContainerRecord): Promise<void> {
  const gone = await kill(here, record);
  if (gone.confirmed) return;
  throw new ResourceError("refused", `cannot restart ${nameOf(record.running)}: ${gone.why}`);
}

/** Reconnects it under the old primary's names: connections that are open on its network break. */
async function takeNames(here: Containers, record: ContainerRecord): Promise<RunningInstance | undefined> {
  const { running, container } = record;
  const { engine } = here;
  const { container: spec } = here.specOf(running);
  const names = await freeNames(here, record, spec);
  const reached = here.reachedBy(spec, record.adopted);
  const [network] = networksOf((await engine.inspect(container)) ?? wasRemoved(running), reached.network);
  if (names.length === 0 || !network) return undefined;
  await engine.disconnect(network, container);
  await engine.connect(network, container, [running.instance, ...names]);
  const inspect = (await engine.inspect(container)) ?? wasRemoved(running);
  const moved = { ...running, address: addressOf(inspect, reached) };
  here.update({ ...record, running: moved, role: "primary" });
  return moved;
}

/** Names of the adopted container and of the last primary, which is dead or a shadow by now: taken off whoever has them. */
async function freeNames(
  here: Containers,
  { running: { resource }, container }: ContainerRecord,
  spec: ContainerSpec,
): Promise<readonly string[]> {
  const template = here.files.adoption(resource)?.template;
  if (!template) return [];
  const [network] = networksOf(template, spec.network);
  if (!network) return [];
  const names = [nameOfContainer(template), ...aliasesOf(template, network)];
  for (const each of here.all().filter(({ running }) => running.resource === resource)) {
    // One that has ended has no names; the engine takes its time to say so.
    if (each.container === container || !(await here.runs(each))) continue;
    const other = await here.engine.inspect(each.container);
    if (other && aliasesOf(other, network).some((alias) => names.includes(alias)))
      await here.engine.disconnect(network, each.container);
  }
  return [...new Set(names)];
}
