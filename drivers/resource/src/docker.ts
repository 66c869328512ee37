/**
 * Resources that are containers of Docker or Podman on this host. A container that runs already becomes the primary as it
 * is: not restarted, not changed but for its restart policy. Shadows are made from what the engine says of it
 * (docker-spec.ts), and are ours alone: they carry this manager's label. Whatever is neither named in the configuration
 * nor made here is never touched.
 */

import type { ReloadSignal } from "@understudy/model/policy";
import { adopt, letGo, placeAdopted } from "./docker-adoption.ts";
import { checkNames } from "./docker-checks.ts";
import {
  type Asked,
  Containers,
  type DockerDriverOptions,
  recordOfRunning,
  wasRemoved,
} from "./docker-containers.ts";
import { clearRemains, end } from "./docker-fences.ts";
import { ContainerFiles } from "./docker-records.ts";
import { changeRole, saveRole } from "./docker-roles.ts";
import { completed, makeShadow } from "./docker-shadows.ts";
import { prepareWaiting } from "./docker-waiting.ts";
import {
  type FenceResult,
  type ResourceDriver,
  ResourceError,
  type RoleOrder,
  type RunningInstance,
  type StartRequest,
} from "./driver.ts";
import { nameOf } from "./records.ts";
import { asResourceError } from "./start-failure.ts";

/** The engine is not asked before it is needed. Throws ResourceError when `runDir` cannot be used. */
export async function openDockerDriver(options: DockerDriverOptions): Promise<ResourceDriver> {
  try {
    return new DockerDriver(new Containers(options, new ContainerFiles(options.runDir)));
  } catch (error) {
    throw asResourceError(error, `cannot keep records in ${options.runDir}`);
  }
}

class DockerDriver implements ResourceDriver {
  readonly #here: Containers;
  /** What is under way for each instance: its starts, roles and end go in turn. */
  readonly #turns = new Map<string, Promise<unknown>>();
  #closed = false;

  constructor(here: Containers) {
    this.#here = here;
  }

  async place(request: Asked & Pick<StartRequest, "stateDir">): Promise<void> {
    this.#refuseWhenClosed();
    return placeAdopted(this.#here, request);
  }

  async start(request: StartRequest): Promise<RunningInstance> {
    this.#refuseWhenClosed();
    const running = await this.#inTurn(nameOf(request), () => this.#startAlone(request));
    // In turn: a promotion that comes meanwhile is faster with it than without.
    void this.#inTurn(nameOf(request), () => prepareWaiting(this.#here, request)).catch((error) =>
      this.#here.report(error),
    );
    return running;
  }

  async list(): Promise<readonly RunningInstance[]> {
    this.#refuseWhenClosed();
    const here = this.#here;
    const alive = await Promise.all(
      here
        .all()
        .map(async (record) => ((await here.runs(record)) ? [(await completed(here, record)).running] : [])),
    );
    return alive.flat();
  }

  async setRole(running: RunningInstance, order: RoleOrder): Promise<RunningInstance | undefined> {
    this.#refuseWhenClosed();
    const record = this.#here.recordOf(running);
    if (!record) return undefined;
    try {
      await saveRole(this.#here, record, order);
    } catch (error) {
      throw asResourceError(error, `cannot tell ${nameOf(running)} its role`);
    }
    if (order.role === record.role) return undefined;
    return this.#inTurn(nameOf(running), () => changeRole(this.#here, running, order));
  }

  async fence(running: RunningInstance): Promise<FenceResult> {
    this.#refuseWhenClosed();
    const record = this.#here.recordOf(running);
    if (!record) return { confirmed: true, how: "its container is gone" };
    return end(this.#here, record);
  }

  async stop(running: RunningInstance, graceMs: number): Promise<void> {
    this.#refuseWhenClosed();
    const record = this.#here.recordOf(running);
    if (!record) return;
    if (record.adopted) return letGo(this.#here, record);
    await this.#here.engine.stop(record.container, graceMs);
    const ended = await end(this.#here, record);
    if (!ended.confirmed) throw new ResourceError("refused", `cannot stop ${nameOf(running)}: ${ended.why}`);
  }

  async signal(running: RunningInstance, name: ReloadSignal): Promise<void> {
    this.#refuseWhenClosed();
    const record = this.#here.recordOf(running);
    if (record) await this.#here.engine.kill(record.container, name);
  }

  async restart(running: RunningInstance, request: StartRequest, graceMs: number): Promise<RunningInstance> {
    this.#refuseWhenClosed();
    return this.#inTurn(nameOf(running), () => this.#restartAlone(running, { request, graceMs }));
  }

  onExit(running: RunningInstance, ended: (detail: string) => void): void {
    this.#here.exits.listen(this.#here.lastContainerOf(running), ended);
  }

  /** Containers go on running. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#here.close([...this.#turns.values()]);
  }

  async #startAlone(request: StartRequest): Promise<RunningInstance> {
    this.#refuseWhenClosed();
    const here = this.#here;
    checkNames(request);
    // Throws for one that is not configured, before anything is touched.
    here.specOf(request);
    const present = here.get(request);
    if (present && (await here.runs(present))) {
      if (present.running.incarnation === request.incarnation) return present.running;
      const why = `${nameOf(request)} still runs as ${present.running.incarnation}: stop or fence it first`;
      throw new ResourceError("refused", why);
    }
    if (present) await clearRemains(here, present);
    const adoption = here.files.adoption(request.resource);
    const own = request.role.role === "primary" && adoption?.instance === request.instance;
    const adopted = own ? await here.engine.inspect(adoption.template.Id) : undefined;
    return adopted ? adopt(here, request, adopted) : makeShadow(here, request);
  }

  /** The same container, so its address most often stays; who follows is told where it is now. */
  async #restartAlone(
    running: RunningInstance,
    { request, graceMs }: { request: StartRequest; graceMs: number },
  ): Promise<RunningInstance> {
    const { engine, exits } = this.#here;
    const record = this.#here.recordOf(running);
    if (!record || !(await this.#here.runs(record)))
      throw new ResourceError("refused", `${nameOf(running)} does not run: it is not restarted`);
    const { container: spec } = this.#here.specOf(running);
    await saveRole(this.#here, record, request.role);
    exits.release(record.container);
    await engine.stop(record.container, graceMs);
    await engine.start(record.container, running.instance);
    const inspect = (await engine.inspect(record.container)) ?? wasRemoved(running);
    const again = recordOfRunning(request, inspect, {
      spec: this.#here.reachedBy(spec, record.adopted),
      adopted: record.adopted,
    });
    this.#here.save(again);
    return again.running;
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

function ignore(): undefined {
  return undefined;
}
