/**
 * Resources that are containers of Docker or Podman on this host. A container that runs already becomes the primary as it
 * is: not restarted, not changed but for its restart policy. Shadows are made from what the engine says of it
 * (docker-spec.ts), and are ours alone: they carry this manager's label. Whatever is neither named in the configuration
 * nor made here is never touched.
 */

import {
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { posix } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { asLabel } from "@understudy/model/names";
import type { ContainerSpec, ReloadSignal, ResourceSpec } from "@understudy/model/policy";
import { checkAdoptable } from "./docker-checks.ts";
import { type Engine, openEngine } from "./docker-engine.ts";
import { ContainerExits } from "./docker-exits.ts";
import { ON_HOST, ownContainer, type Paths, pathsThrough } from "./docker-paths.ts";
import { type Adoption, ContainerFiles, type ContainerRecord, saveRoleIn } from "./docker-records.ts";
import {
  addressOf,
  aliasesOf,
  LABELS,
  mountOf,
  networksOf,
  roleFileInside,
  shadowBody,
} from "./docker-spec.ts";
import { type ContainerInspect, type Mount, nameOfContainer } from "./docker-types.ts";
import {
  type FenceResult,
  type ResourceDriver,
  ResourceError,
  type RoleOrder,
  type RunningInstance,
  type StartRequest,
} from "./driver.ts";
import { readLiving, readProcStat } from "./proc-stat.ts";
import { nameOf } from "./records.ts";
import { asResourceError } from "./start-failure.ts";

const FENCE_WITHIN_MS = 2000;
const CONFIRM_POLL_MS = 2;
/** Asking the engine costs milliseconds: less often than looking at /proc. */
const ASK_POLL_MS = 20;

type RunSpec = Pick<ResourceSpec, "container"> & {
  readonly state: Pick<ResourceSpec["state"], "consistency">;
};

export type DockerDriverOptions = {
  /** Of Docker or Podman. */
  readonly socket: string;
  /** The driver's own files. The same folder again finds the same containers again. */
  readonly runDir: string;
  /** How a resource is run; undefined when it is not known. */
  readonly specOf: (resource: string) => RunSpec | undefined;
  /** What went wrong beside a call. */
  readonly onError: (error: Error) => void;
};

type Asked = Pick<StartRequest, "resource" | "instance">;

/** The engine is not asked before it is needed. Throws ResourceError when `runDir` cannot be used. */
export async function openDockerDriver(options: DockerDriverOptions): Promise<ResourceDriver> {
  try {
    return new DockerDriver(options, new ContainerFiles(options.runDir));
  } catch (error) {
    throw asResourceError(error, `cannot keep records in ${options.runDir}`);
  }
}

class DockerDriver implements ResourceDriver {
  readonly #options: DockerDriverOptions;
  readonly #files: ContainerFiles;
  readonly #engine: Engine;
  readonly #exits: ContainerExits;
  readonly #known = new Map<string, ContainerRecord>();
  /** What is under way for each instance: its starts, roles and end go in turn. */
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #removals = new Set<Promise<void>>();
  #paths: Promise<Paths> | undefined;
  #closed = false;

  constructor(options: DockerDriverOptions, files: ContainerFiles) {
    this.#options = options;
    this.#files = files;
    this.#engine = openEngine(options.socket);
    this.#exits = new ContainerExits(this.#engine);
    const onBad = (file: string, why: string) => options.onError(new Error(`${file} ignored: ${why}`));
    for (const record of files.readAll(onBad)) this.#remember(record);
  }

  async place({ resource, instance, stateDir }: Asked & Pick<StartRequest, "stateDir">): Promise<void> {
    this.#refuseWhenClosed();
    const { container: spec } = this.#specOf({ resource, instance });
    if (lstatSync(stateDir).isSymbolicLink() || readdirSync(stateDir).length > 0) return;
    const inspect = await this.#engine.inspect(spec.name);
    if (!inspect) throw notThere(spec.name);
    const own = await this.#ownStateOf(inspect, spec, checkAdoptable(inspect, spec));
    await this.#claim(inspect, resource);
    const { RestartPolicy: restartPolicy } = inspect.HostConfig;
    this.#files.saveAdoption(resource, { instance, template: inspect, restartPolicy });
    rmdirSync(stateDir);
    symlinkSync(own, stateDir);
  }

  async start(request: StartRequest): Promise<RunningInstance> {
    this.#refuseWhenClosed();
    return this.#inTurn(nameOf(request), () => this.#startAlone(request));
  }

  async list(): Promise<readonly RunningInstance[]> {
    this.#refuseWhenClosed();
    const alive = await Promise.all(
      [...this.#known.values()].map(async (record) =>
        (await this.#runs(record)) ? [(await this.#completed(record)).running] : [],
      ),
    );
    return alive.flat();
  }

  async setRole(running: RunningInstance, order: RoleOrder): Promise<RunningInstance | undefined> {
    this.#refuseWhenClosed();
    const record = this.#recordOf(running);
    if (!record) return undefined;
    try {
      await this.#saveRole(record, order);
    } catch (error) {
      throw asResourceError(error, `cannot tell ${nameOf(running)} its role`);
    }
    if (order.role === record.role) return undefined;
    return this.#inTurn(nameOf(running), () => this.#changeRole(record, order));
  }

  async fence(running: RunningInstance): Promise<FenceResult> {
    this.#refuseWhenClosed();
    const record = this.#recordOf(running);
    if (!record) return { confirmed: true, how: "its container is gone" };
    return this.#end(record);
  }

  async stop(running: RunningInstance, graceMs: number): Promise<void> {
    this.#refuseWhenClosed();
    const record = this.#recordOf(running);
    if (!record) return;
    if (record.adopted) return this.#letGo(record);
    await this.#engine.stop(record.container, graceMs);
    const end = await this.#end(record);
    if (!end.confirmed) throw new ResourceError("refused", `cannot stop ${nameOf(running)}: ${end.why}`);
  }

  async signal(running: RunningInstance, name: ReloadSignal): Promise<void> {
    this.#refuseWhenClosed();
    const record = this.#recordOf(running);
    if (record) await this.#engine.kill(record.container, name);
  }

  async restart(running: RunningInstance, request: StartRequest, graceMs: number): Promise<RunningInstance> {
    this.#refuseWhenClosed();
    return this.#inTurn(nameOf(running), () => this.#restartAlone(running, { request, graceMs }));
  }

  onExit(running: RunningInstance, ended: (detail: string) => void): void {
    const record = this.#known.get(nameOf(running));
    const isIt = record?.running.incarnation === running.incarnation;
    // An end of which we forgot all but the fact.
    this.#exits.listen(isIt ? record.container : (this.#lastOf.get(keyOf(running)) ?? ""), ended);
  }

  /** Containers go on running. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#exits.close();
    await Promise.allSettled([...this.#turns.values(), ...this.#removals]);
  }

  /** The same container, so its address most often stays; who follows is told where it is now. */
  async #restartAlone(
    running: RunningInstance,
    { request, graceMs }: { request: StartRequest; graceMs: number },
  ): Promise<RunningInstance> {
    const record = this.#recordOf(running);
    if (!record || !(await this.#runs(record)))
      throw new ResourceError("refused", `${nameOf(running)} does not run: it is not restarted`);
    const { container: spec } = this.#specOf(running);
    await this.#saveRole(record, request.role);
    this.#exits.release(record.container);
    await this.#engine.stop(record.container, graceMs);
    await this.#engine.start(record.container, running.instance);
    const inspect = (await this.#engine.inspect(record.container)) ?? record404(running);
    const again = this.#record(request, inspect, { spec, adopted: record.adopted });
    this.#remember(again);
    this.#files.save(again);
    return again.running;
  }

  readonly #lastOf = new Map<string, string>();

  async #startAlone(request: StartRequest): Promise<RunningInstance> {
    this.#refuseWhenClosed();
    checkNames(request);
    const { container: spec } = this.#specOf(request);
    const present = this.#known.get(nameOf(request));
    if (present && (await this.#runs(present))) {
      if (present.running.incarnation === request.incarnation) return present.running;
      const why = `${nameOf(request)} still runs as ${present.running.incarnation}: stop or fence it first`;
      throw new ResourceError("refused", why);
    }
    if (present) await this.#clearRemains(present);
    const adoption = this.#files.adoption(request.resource);
    const own = request.role.role === "primary" && adoption?.instance === request.instance;
    const adopted = own ? await this.#engine.inspect(adoption.template.Id) : undefined;
    return adopted ? this.#adopt(request, spec, adopted) : this.#make(request, adoption);
  }

  /** The container that was found running; started again when it has ended since. */
  async #adopt(
    request: StartRequest,
    spec: ContainerSpec,
    found: ContainerInspect,
  ): Promise<RunningInstance> {
    const name = nameOfContainer(found);
    await this.#engine.forbidRestarts(found.Id);
    if (!found.State.Running) await this.#engine.start(found.Id, name);
    const inspect = found.State.Running ? found : await this.#engine.inspect(found.Id);
    if (!inspect) throw notThere(name);
    checkAdoptable(inspect, spec);
    const record = this.#record(request, inspect, { spec, adopted: true });
    await this.#saveRole(record, request.role);
    this.#remember(record);
    this.#files.save(record);
    return record.running;
  }

  async #make(request: StartRequest, adoption: Adoption | undefined): Promise<RunningInstance> {
    const { container: spec } = this.#specOf(request);
    const template = (await this.#engine.inspect(spec.name)) ?? adoption?.template;
    if (!template) throw notThere(spec.name);
    this.#files.saveRole(request, request.role);
    const name = `understudy-${request.instance}-${request.incarnation}`;
    const readOnly = request.role.role === "shadow" && mayBeReadOnly(this.#specOf(request));
    const container = await this.#create(request, { name, template, readOnly, aliases: [request.instance] });
    return this.#run(request, { container, name, spec });
  }

  /**
   * The record comes before the start: an engine that answers too late, or a replicator that dies in between, must not
   * leave a container running of which nobody knows.
   */
  async #run(
    request: Pick<StartRequest, "resource" | "instance" | "incarnation" | "role">,
    { container, name, spec }: { container: string; name: string; spec: ContainerSpec },
  ): Promise<RunningInstance> {
    const { resource, instance, incarnation, role } = request;
    const who = { resource, instance, incarnation, address: NOT_KNOWN, pid: 0, pidStartTicks: 0 };
    const intent: ContainerRecord = { running: who, container, adopted: false, role: role.role };
    this.#remember(intent);
    this.#files.save(intent);
    try {
      await this.#engine.start(container, name);
      const inspect = await this.#engine.inspect(container);
      if (!inspect?.State.Running) {
        const code = inspect?.State.ExitCode ?? "unknown";
        throw new ResourceError(
          "start-failed",
          `container ${name} ended at once with code ${code}: see docker logs`,
        );
      }
      const record = this.#record(request, inspect, { spec, adopted: false });
      this.#exits.release(container);
      this.#remember(record);
      this.#files.save(record);
      return record.running;
    } catch (error) {
      await this.#abandon(intent);
      throw asResourceError(error, `cannot start ${nameOf(request)}`);
    }
  }

  /** Our last process died, or gave up, between starting it and writing down where it is. */
  async #completed(record: ContainerRecord): Promise<ContainerRecord> {
    const { running, container } = record;
    if (running.address !== NOT_KNOWN) return record;
    const inspect = await this.#engine.inspect(container);
    if (!inspect) return record;
    const { container: spec } = this.#specOf(running);
    const whole = {
      ...record,
      running: { ...running, address: addressOf(inspect, spec), ...processOf(inspect) },
    };
    this.#exits.release(container);
    this.#remember(whole);
    this.#files.save(whole);
    return whole;
  }

  /** Where it cannot be removed now, its record stays, and the next start clears it away. */
  async #abandon(intent: ContainerRecord): Promise<void> {
    this.#exits.release(intent.container);
    try {
      await this.#engine.remove(intent.container);
      this.#forget(intent);
    } catch (error) {
      this.#options.onError(error as Error);
    }
  }

  async #create(
    request: Omit<StartRequest, "role"> & { readonly role: RoleOrder },
    how: { name: string; template: ContainerInspect; readOnly: boolean; aliases: readonly string[] },
  ): Promise<string> {
    const { container: spec } = this.#specOf(request);
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
        [LABELS.manager]: this.#files.manager(),
        [LABELS.resource]: resource,
        [LABELS.instance]: instance,
        [LABELS.incarnation]: incarnation,
        "understudy.state-source": request.stateDir,
      },
      stateSource: await this.#hostPath(realpathSync(request.stateDir), name),
      roleSource: await this.#hostPath(this.#files.roleFolder(request), name),
      stateReadOnly: how.readOnly,
      changes: await this.#changesOf(template),
      aliases: how.aliases,
    });
    const container = await this.#engine.create(name, body);
    try {
      for (const network of networks) await this.#engine.connect(network, container, how.aliases);
    } catch (error) {
      this.#removeLater(container);
      throw error;
    }
    return container;
  }

  /** Undefined when the primary is gone: then its root file system stays writable in shadows. */
  async #changesOf({ Id }: ContainerInspect): Promise<readonly string[] | undefined> {
    try {
      return await this.#engine.changes(Id);
    } catch (error) {
      if (error instanceof ResourceError && error.code === "not-found") return undefined;
      throw error;
    }
  }

  async #changeRole(before: ContainerRecord, order: RoleOrder): Promise<RunningInstance | undefined> {
    const record = this.#recordOf(before.running);
    if (!record || record.role === order.role) return undefined;
    const { container: spec } = this.#specOf(record.running);
    const promoted = order.role === "primary";
    this.#update({ ...record, role: order.role });
    if (promoted && spec.onPromote === "restart" && !record.adopted) return this.#replace(record, order);
    if (spec.onPromote.startsWith("SIG")) await this.#engine.kill(record.container, spec.onPromote);
    return promoted && spec.takeNames ? this.#takeNames(record) : undefined;
  }

  /** The one restart: the same state read-write, under the primary's names. The new container is ready before the old one ends. */
  async #replace(record: ContainerRecord, order: RoleOrder): Promise<RunningInstance> {
    const { running } = record;
    const { container: spec } = this.#specOf(running);
    const template = await this.#engine.inspect(record.container);
    if (!template) throw notThere(running.instance);
    const name = `${nameOfContainer(template)}-primary`;
    const stateDir = template.Config.Labels?.["understudy.state-source"] ?? "";
    const aliases = [running.instance, ...(await this.#freeNames(running.resource, record.container, spec))];
    const request = { ...running, stateDir, env: {}, role: order };
    const container = await this.#create(request, { name, template, readOnly: false, aliases });
    const listeners = this.#exits.release(record.container);
    const gone = await this.#kill(record);
    if (!gone.confirmed) throw new ResourceError("refused", `cannot restart ${nameOf(running)}: ${gone.why}`);
    const now = await this.#run(request, { container, name, spec });
    for (const listener of listeners) this.#exits.listen(container, listener);
    this.#removeLater(record.container);
    return now;
  }

  /** Reconnects it under the old primary's names: connections that are open on its network break. */
  async #takeNames(record: ContainerRecord): Promise<RunningInstance | undefined> {
    const { running, container } = record;
    const { container: spec } = this.#specOf(running);
    const names = await this.#freeNames(running.resource, container, spec);
    const [network] = networksOf((await this.#engine.inspect(container)) ?? record404(running), spec.network);
    if (names.length === 0 || !network) return undefined;
    await this.#engine.disconnect(network, container);
    await this.#engine.connect(network, container, [running.instance, ...names]);
    const inspect = (await this.#engine.inspect(container)) ?? record404(running);
    const moved = { ...running, address: addressOf(inspect, spec) };
    this.#update({ ...record, running: moved, role: "primary" });
    return moved;
  }

  /** Names of the adopted container and of the last primary, which is dead or a shadow by now: taken off whoever has them. */
  async #freeNames(resource: string, container: string, spec: ContainerSpec): Promise<readonly string[]> {
    const template = this.#files.adoption(resource)?.template;
    if (!template) return [];
    const [network] = networksOf(template, spec.network);
    if (!network) return [];
    const names = [nameOfContainer(template), ...aliasesOf(template, network)];
    for (const each of [...this.#known.values()].filter(({ running }) => running.resource === resource)) {
      if (each.container === container) continue;
      const other = await this.#engine.inspect(each.container);
      if (other && aliasesOf(other, network).some((alias) => names.includes(alias)))
        await this.#engine.disconnect(network, each.container);
    }
    return [...new Set(names)];
  }

  async #kill(record: ContainerRecord): Promise<FenceResult> {
    const { running, container } = record;
    const startedMs = performance.now();
    // The kernel ends a whole container with its first process, and at once; the engine needs some 50 ms to pass it on.
    const struck = strike(running);
    const asked = this.#engine.kill(container, "SIGKILL").then(
      () => undefined,
      (error: Error) => error,
    );
    if (!struck) {
      const failed = await asked;
      if (failed) return { confirmed: false, why: failed.message };
    }
    while (await this.#runs(record)) {
      if (performance.now() - startedMs > FENCE_WITHIN_MS)
        return {
          confirmed: false,
          why: `container ${container.slice(0, 12)} still runs ${FENCE_WITHIN_MS} ms after SIGKILL`,
        };
      await sleep(running.pid > 0 ? CONFIRM_POLL_MS : ASK_POLL_MS);
    }
    return {
      confirmed: true,
      how: `container gone ${(performance.now() - startedMs).toFixed(1)} ms after SIGKILL`,
    };
  }

  async #end(record: ContainerRecord): Promise<FenceResult> {
    const result = await this.#kill(record);
    if (!result.confirmed) {
      // It can still run, but nobody reaches it any more.
      await this.#isolate(record).catch(this.#options.onError);
      return result;
    }
    this.#forget(record);
    if (!record.adopted) this.#removeLater(record.container);
    return result;
  }

  async #isolate({ container }: ContainerRecord): Promise<void> {
    const inspect = await this.#engine.inspect(container);
    for (const network of Object.keys(inspect?.NetworkSettings.Networks ?? {}))
      await this.#engine.disconnect(network, container);
  }

  async #clearRemains(dead: ContainerRecord): Promise<void> {
    const end = await this.#end(dead);
    if (!end.confirmed)
      throw new ResourceError("refused", `${nameOf(dead.running)}: its last start has not ended: ${end.why}`);
  }

  /** An adopted container is not ours to stop: it runs on as it was found. */
  async #letGo(record: ContainerRecord): Promise<void> {
    const { resource } = record.running;
    const adoption = this.#files.adoption(resource);
    this.#exits.release(record.container);
    this.#forget(record);
    if (adoption?.restartPolicy) await this.#engine.restorePolicy(record.container, adoption.restartPolicy);
    await this.#engine.removeVolume(claimOf(record.container));
    this.#files.forgetAdoption(resource);
  }

  /** Two managers of one engine would make two primaries of one container. */
  async #claim(inspect: ContainerInspect, resource: string): Promise<void> {
    const manager = this.#files.manager();
    const volume = claimOf(inspect.Id);
    const labels = { [LABELS.manager]: manager, [LABELS.resource]: resource };
    const owner = (await this.#engine.claimVolume(volume, labels))[LABELS.manager];
    if (owner === manager) return;
    throw new ResourceError(
      "refused",
      `container ${nameOfContainer(inspect)} is managed by another replicator (${owner ?? "unknown"}): take it out of that one's configuration, or, if that one is gone for good, docker volume rm ${volume}`,
    );
  }

  /** Where we find the state of a container. */
  async #ownStateOf(inspect: ContainerInspect, spec: ContainerSpec, mount: Mount): Promise<string> {
    const name = nameOfContainer(inspect);
    const host = posix.join(mount.Source ?? "", posix.relative(mount.Destination, spec.stateDir));
    const own = (await this.#ownPaths()).toOwn(host);
    const what = mount.Name ? `volume ${mount.Name}` : host;
    if (own === undefined) {
      const remedy = `mount ${what} into the replicator's container as well`;
      throw new ResourceError(
        "refused",
        `container ${name} keeps its state in ${what}, which is not mounted here: ${remedy}`,
      );
    }
    try {
      if (statSync(own).isDirectory()) readdirSync(own);
      else
        throw new ResourceError(
          "refused",
          `container ${name}: ${spec.stateDir} is a file: name its folder in container.stateDir`,
        );
      return own;
    } catch (error) {
      throw asResourceError(error, `cannot read the state of container ${name} in ${what}`);
    }
  }

  async #saveRole({ running, container, adopted }: ContainerRecord, order: RoleOrder): Promise<void> {
    if (!adopted) return this.#files.saveRole(running, order);
    const file = await this.#adoptedRoleFile(running, container);
    if (file) saveRoleIn(file, order);
  }

  async #adoptedRoleFile(running: RunningInstance, container: string): Promise<string | undefined> {
    const { container: spec } = this.#specOf(running);
    const template = this.#files.adoption(running.resource)?.template;
    if (spec.roleFile === "" || !template) return undefined;
    const mount = mountOf(template, spec.roleFile);
    const host = posix.join(mount?.Source ?? "", posix.relative(mount?.Destination ?? "/", spec.roleFile));
    const own = mount && (await this.#ownPaths()).toOwn(host);
    if (own) return own;
    const why = `container ${container.slice(0, 12)} reads its role at ${spec.roleFile}, which is on no mount that is here too: put a volume there, and into the replicator's container if it has one`;
    throw new ResourceError("refused", why);
  }

  async #hostPath(own: string, name: string): Promise<string> {
    const host = (await this.#ownPaths()).toHost(own);
    if (host) return host;
    throw new ResourceError(
      "refused",
      `cannot make container ${name}: ${own} lies inside the replicator's own container: keep UNDERSTUDY_DATA_DIR on a volume`,
    );
  }

  #ownPaths(): Promise<Paths> {
    this.#paths ??= this.#readPaths().catch((error) => {
      this.#paths = undefined;
      throw error;
    });
    return this.#paths;
  }

  async #readPaths(): Promise<Paths> {
    const id = ownContainer();
    const own = id && (await this.#engine.inspect(id));
    // In a container of another engine's making the engine cannot know our mounts: then the names are taken as they are.
    return own ? pathsThrough(own.Mounts) : ON_HOST;
  }

  #record(
    {
      resource,
      instance,
      incarnation,
      role,
    }: Pick<StartRequest, "resource" | "instance" | "incarnation" | "role">,
    inspect: ContainerInspect,
    { spec, adopted }: { spec: ContainerSpec; adopted: boolean },
  ): ContainerRecord {
    const running = {
      resource,
      instance,
      incarnation,
      address: addressOf(inspect, spec),
      ...processOf(inspect),
    };
    return { running, container: inspect.Id, adopted, role: role.role };
  }

  /** By /proc where it can be seen, also while the engine is away; otherwise the engine says it. */
  async #runs({ running, container }: ContainerRecord): Promise<boolean> {
    if (running.pid > 0) return readLiving(running) !== undefined;
    return (await this.#engine.inspect(container))?.State.Running ?? false;
  }

  #specOf({ resource, instance }: Asked): RunSpec & { container: ContainerSpec } {
    const spec = this.#options.specOf(resource);
    if (spec?.container) return { ...spec, container: spec.container };
    const why = `${resource}.${instance}: its resource names no container in the configuration`;
    throw new ResourceError("not-found", why);
  }

  #recordOf(running: RunningInstance): ContainerRecord | undefined {
    const record = this.#known.get(nameOf(running));
    return record?.running.incarnation === running.incarnation ? record : undefined;
  }

  #remember(record: ContainerRecord): void {
    this.#known.set(nameOf(record.running), record);
    this.#exits.watch(record.container, record.running);
    this.#lastOf.set(keyOf(record.running), record.container);
    if (this.#lastOf.size > LAST_KEPT_MAX) this.#lastOf.delete(this.#lastOf.keys().next().value!);
  }

  #update(record: ContainerRecord): void {
    this.#known.set(nameOf(record.running), record);
    this.#files.save(record);
  }

  /** Only what is remembered of this very container: an old caller must not erase a newer start. */
  #forget(record: ContainerRecord): void {
    if (this.#known.get(nameOf(record.running))?.container !== record.container) return;
    this.#known.delete(nameOf(record.running));
    this.#files.forget(record);
  }

  #removeLater(container: string): void {
    const removal = this.#engine.remove(container).catch(this.#options.onError);
    this.#removals.add(removal);
    void removal.then(() => this.#removals.delete(removal));
  }

  async #inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(name) ?? Promise.resolve();
    const done = before.then(work);
    const settled = done.then(ignore, ignore);
    this.#turns.set(name, settled);
    try {
      return await done;
    } finally {
      if (this.#turns.get(name) === settled) this.#turns.delete(name);
    }
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new ResourceError("closed", "the docker driver is closed");
  }
}

/** In place of an address, until the container runs. */
const NOT_KNOWN = "unknown:0";

/** Containers of which a late listener can still hear how they ended. */
const LAST_KEPT_MAX = 256;

/** A WAL database does not open on a read-only mount, and only a restart turns a mount read-write. */
function mayBeReadOnly({ container, state }: RunSpec & { container: ContainerSpec }): boolean {
  return container.onPromote === "restart" && state.consistency !== "sqlite";
}

/** Its first process as this host knows it; pid 0 when it cannot be seen from here. */
function processOf({ Id, State }: ContainerInspect): { pid: number; pidStartTicks: number } {
  const stat = readProcStat(State.Pid);
  return stat && isOf(State.Pid, Id)
    ? { pid: State.Pid, pidStartTicks: stat.startTicks }
    : { pid: 0, pidStartTicks: 0 };
}

/** Whether the process of this number is one of the container's: the engine may count processes apart from us. */
function isOf(pid: number, container: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(container);
  } catch {
    return false;
  }
}

/** False when it is not ours to signal, or not to be seen. */
function strike(running: RunningInstance): boolean {
  if (running.pid === 0) return false;
  if (!readLiving(running)) return true;
  try {
    return process.kill(running.pid, "SIGKILL");
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

function checkNames({ resource, instance }: Asked): void {
  try {
    asLabel(resource, "resource");
    asLabel(instance, "instance");
  } catch (error) {
    throw new ResourceError("refused", (error as Error).message);
  }
}

function claimOf(container: string): string {
  return `understudy-claim-${container.slice(0, 12)}`;
}

function notThere(name: string): ResourceError {
  return new ResourceError(
    "not-found",
    `there is no container ${name}: start it (docker run --name ${name} ...)`,
  );
}

function record404({ instance }: RunningInstance): never {
  throw new ResourceError("not-found", `the container of ${instance} was removed: it is made again`);
}

function keyOf({ resource, instance, incarnation }: RunningInstance): string {
  return `${resource}.${instance}/${incarnation}`;
}

function ignore(): undefined {
  return undefined;
}
