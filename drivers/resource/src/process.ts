/**
 * Resources that are plain processes on this host. Each instance is a process group of its own that outlives us: a
 * restarted replicator finds it again by the records on disk. All else an instance needs to know comes by environment:
 * UNDERSTUDY_RESOURCE, _INSTANCE, _INCARNATION, _STATE_DIR, _PORT, _ROLE_FILE.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Endpoint, formatEndpoint } from "@understudy/model/endpoint";
import { asLabel } from "@understudy/model/names";
import type { ReloadSignal, ResourceSpec } from "@understudy/model/policy";
import {
  type FenceResult,
  type ResourceDriver,
  ResourceError,
  type RoleOrder,
  type RunningInstance,
  type StartRequest,
} from "./driver.ts";
import { ExitWatch } from "./exit-watch.ts";
import { findFreePort, isListening } from "./free-port.ts";
import { boundLog, openLog, readLogTail } from "./log-file.ts";
import { readLiving, readProcStat } from "./proc-stat.ts";
import { findLeader, type GroupName, killGroup, livingMembers, signalGroup } from "./process-group.ts";
import { InstanceFiles, nameOf } from "./records.ts";
import { asResourceError, explainSpawnFailure } from "./start-failure.ts";

const FENCE_WITHIN_MS = 500;
const STOP_POLL_MS = 20;
const LOG_CHECK_MS = 1000;
const PORT_ATTEMPTS_MAX = 5;
/** A program that finds its port taken says so at once; after this long it is left to start in peace. */
const SETTLE_MS = 250;
const SETTLE_POLL_MS = 10;
const LOOPBACK = "127.0.0.1";
/** All that reaches an instance of our own environment: no secret of the replicator does. */
const INHERITED = ["PATH", "HOME", "TMPDIR", "UNDERSTUDY_RUN"] as const;

export type ProcessDriverOptions = {
  /** The driver's own files: records, role orders, logs. The same folder again finds the same instances again. */
  readonly runDir: string;
  /** How a resource is run; undefined when it is not known. */
  readonly runOf: (resource: string) => ResourceSpec["run"] | undefined;
  /** The replicator's environment; PATH, HOME, TMPDIR and UNDERSTUDY_RUN of it are passed on. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** IP address at which instances listen and are reached, asked at each start; loopback by default. */
  readonly address?: () => string;
  /** Where commands run; the replicator's own folder by default. */
  readonly workDir?: string;
  readonly random?: () => number;
  /** What went wrong beside a call: a record that cannot be read, a log that cannot be cut. */
  readonly onError: (error: Error) => void;
};

/** Throws ResourceError when `runDir` cannot be used. */
export async function openProcessDriver(options: ProcessDriverOptions): Promise<ResourceDriver> {
  try {
    return new ProcessDriver(options, new InstanceFiles(options.runDir));
  } catch (error) {
    throw asResourceError(error, `cannot keep records in ${options.runDir}`);
  }
}

class ProcessDriver implements ResourceDriver {
  readonly #options: ProcessDriverOptions;
  readonly #files: InstanceFiles;
  readonly #exits = new ExitWatch();
  readonly #known = new Map<string, RunningInstance>();
  /** The last start of each instance: two starts of one instance never overlap. */
  readonly #starting = new Map<string, Promise<unknown>>();
  readonly #ports = new Set<number>();
  readonly #logTimer: NodeJS.Timeout;
  #closed = false;

  constructor(options: ProcessDriverOptions, files: InstanceFiles) {
    this.#options = options;
    this.#files = files;
    this.#adoptAll();
    this.#logTimer = setInterval(() => this.#boundLogs(), LOG_CHECK_MS).unref();
  }

  async start(request: StartRequest): Promise<RunningInstance> {
    this.#refuseWhenClosed();
    const name = nameOf(request);
    const before = this.#starting.get(name) ?? Promise.resolve();
    const started = before.then(() => this.#startAlone(request));
    // The next start waits for this one, however it ends; its failure is thrown to its own caller only.
    const settled = started.then(ignore, ignore);
    this.#starting.set(name, settled);
    try {
      return await started;
    } finally {
      if (this.#starting.get(name) === settled) this.#starting.delete(name);
    }
  }

  async list(): Promise<readonly RunningInstance[]> {
    this.#refuseWhenClosed();
    return [...this.#known.values()].filter((running) => readLiving(running) !== undefined);
  }

  async setRole(running: RunningInstance, order: RoleOrder): Promise<undefined> {
    this.#refuseWhenClosed();
    try {
      this.#files.saveRole(running, order);
    } catch (error) {
      throw asResourceError(error, `cannot tell ${nameOf(running)} its role`);
    }
  }

  async signal(running: RunningInstance, name: ReloadSignal): Promise<void> {
    this.#refuseWhenClosed();
    if (readLiving(running)) process.kill(running.pid, name);
  }

  async restart(running: RunningInstance, request: StartRequest, graceMs: number): Promise<RunningInstance> {
    this.#refuseWhenClosed();
    const name = nameOf(running);
    const run = this.#options.runOf(running.resource);
    const runs = isSameStart(this.#known.get(name), running) && readLiving(running);
    if (!run || !runs) throw new ResourceError("refused", `${name} does not run: it is not restarted`);
    this.#exits.forget(running);
    await this.stop(running, graceMs);
    const outcome = await this.#launch(request, run, portOf(running));
    if ("running" in outcome) return outcome.running;
    throw new ResourceError("start-failed", outcome.why);
  }

  async fence(running: RunningInstance): Promise<FenceResult> {
    this.#refuseWhenClosed();
    return this.#end(running);
  }

  async stop(running: RunningInstance, graceMs: number): Promise<void> {
    this.#refuseWhenClosed();
    signalGroup(running, "SIGTERM");
    const deadlineMs = performance.now() + graceMs;
    while (performance.now() < deadlineMs && livingMembers(this.#group(running)).ours.length > 0)
      await sleep(STOP_POLL_MS);
    const end = await this.#end(running);
    if (!end.confirmed) throw new ResourceError("refused", `cannot stop ${nameOf(running)}: ${end.why}`);
  }

  onExit(running: RunningInstance, ended: (detail: string) => void): void {
    this.#exits.listen(running, ended);
  }

  /** Instances go on running. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#logTimer);
    this.#exits.close();
    await Promise.all(this.#starting.values());
  }

  async #startAlone(request: StartRequest): Promise<RunningInstance> {
    this.#refuseWhenClosed();
    const name = nameOf(request);
    checkNames(request);
    const run = this.#options.runOf(request.resource);
    const [program] = run?.command ?? [];
    if (!run || !program) {
      throw new ResourceError("not-found", `${name}: its resource has no run.command in the configuration`);
    }
    const present = this.#known.get(name);
    if (present && readLiving(present)) {
      if (present.incarnation === request.incarnation) return present;
      throw new ResourceError(
        "refused",
        `${name} still runs as ${present.incarnation}: stop or fence it first`,
      );
    }
    if (present) await this.#clearRemains(present);
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#launch(request, run);
      if ("running" in outcome) return outcome.running;
      if (!outcome.portTaken || attempt === PORT_ATTEMPTS_MAX)
        throw new ResourceError("start-failed", outcome.why);
    }
  }

  async #clearRemains(dead: RunningInstance): Promise<void> {
    const end = await this.#end(dead);
    if (!end.confirmed)
      throw new ResourceError("refused", `${nameOf(dead)}: its last start has not ended: ${end.why}`);
  }

  async #launch(request: StartRequest, run: ResourceSpec["run"], samePort?: number): Promise<Launch> {
    const name = nameOf(request);
    const { resource, instance, incarnation } = request;
    const host = this.#options.address?.() ?? LOOPBACK;
    const port = samePort ?? (await findFreePort(host, this.#ports, this.#options.random ?? Math.random));
    const intent = {
      resource,
      instance,
      incarnation,
      address: formatEndpoint({ host, port }),
      pid: 0,
      pidStartTicks: 0,
    };
    const logPath = this.#files.logPath(request);
    this.#ports.add(port);
    let running: RunningInstance = intent;
    try {
      this.#files.saveRole(request, request.role);
      this.#files.save(intent);
      const log = openLog(logPath);
      const child = await this.#spawn(request, { run, host, port, logFd: log.fd }).finally(() =>
        closeSync(log.fd),
      );
      running = { ...intent, pid: child.pid!, pidStartTicks: readProcStat(child.pid!)?.startTicks ?? 0 };
      this.#exits.ownChild(running, child);
      this.#known.set(name, running);
      this.#files.save(running);
      const ended = await settle(child, { host, port });
      if (ended === undefined) return { running };
      await this.#end(running);
      return explainSpawnFailure(name, { ended, output: readLogTail(logPath, log.size), logPath });
    } catch (error) {
      // Nothing may run that no record tells of.
      if (running.pid === 0) this.#forget(intent);
      else await this.#end(running);
      throw asResourceError(error, `cannot start ${name}`);
    }
  }

  async #spawn(
    request: StartRequest,
    at: { run: ResourceSpec["run"]; host: string; port: number; logFd: number },
  ): Promise<ChildProcess> {
    const { run, host, port, logFd } = at;
    const [program, ...args] = run.command;
    const child = spawn(program!, args, {
      cwd: this.#options.workDir ?? process.cwd(),
      detached: true,
      stdio: ["ignore", logFd, logFd],
      env: {
        ...pick(this.#options.environment, INHERITED),
        ...run.env,
        ...request.env,
        UNDERSTUDY_RESOURCE: request.resource,
        UNDERSTUDY_INSTANCE: request.instance,
        UNDERSTUDY_INCARNATION: request.incarnation,
        UNDERSTUDY_STATE_DIR: request.stateDir,
        UNDERSTUDY_ADDRESS: host,
        UNDERSTUDY_PORT: String(port),
        UNDERSTUDY_ROLE_FILE: this.#files.rolePath(request),
      },
    });
    child.unref();
    // A pid is there at once or never; without one the reason comes as an event.
    if (child.pid === undefined) await new Promise((_, reject) => child.once("error", reject));
    child.on("error", this.#options.onError);
    return child;
  }

  /** The role file's path names this driver's folder, the instance and its incarnation: nobody else has it. */
  #group(running: RunningInstance): GroupName {
    return { ...running, mark: `UNDERSTUDY_ROLE_FILE=${this.#files.rolePath(running)}` };
  }

  async #end(running: RunningInstance): Promise<FenceResult> {
    const result = await killGroup(this.#group(running), FENCE_WITHIN_MS);
    if (result.confirmed) this.#forget(running);
    return result;
  }

  /** Only what is remembered of this very process: an old caller must not erase a newer start. */
  #forget(running: RunningInstance): void {
    const known = this.#known.get(nameOf(running));
    if (known && (known.incarnation !== running.incarnation || known.pid !== running.pid)) return;
    this.#ports.delete(portOf(running));
    this.#known.delete(nameOf(running));
    this.#files.forget(running);
  }

  #adoptAll(): void {
    const onBad = (file: string, why: string): void =>
      this.#options.onError(new Error(`${file} ignored: ${why}`));
    for (const record of this.#files.readAll(onBad)) {
      const running = record.pid === 0 ? this.#findIntended(record) : record;
      const { ours, unknown } = running ? livingMembers(this.#group(running)) : { ours: [], unknown: [] };
      if (running && ours.length + unknown.length > 0) {
        this.#known.set(nameOf(running), running);
        this.#ports.add(portOf(running));
        this.#files.save(running);
      } else this.#files.forget(record);
    }
  }

  /** Our last process died between starting it and writing down its pid. */
  #findIntended(intent: RunningInstance): RunningInstance | undefined {
    const stat = findLeader(this.#group(intent).mark);
    return stat && { ...intent, pid: stat.pid, pidStartTicks: stat.startTicks };
  }

  #boundLogs(): void {
    for (const running of this.#known.values()) {
      try {
        boundLog(this.#files.logPath(running));
      } catch (error) {
        this.#options.onError(asResourceError(error, `cannot cut the log of ${nameOf(running)}`));
      }
    }
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new ResourceError("closed", "the process driver is closed");
  }
}

function isSameStart(a: RunningInstance | undefined, b: RunningInstance): boolean {
  return a?.pid === b.pid && a.pidStartTicks === b.pidStartTicks;
}

type Launch = { readonly running: RunningInstance } | { readonly portTaken: boolean; readonly why: string };

/** Undefined once it listens or has had its time; otherwise how it ended. */
async function settle(child: ChildProcess, { host, port }: Endpoint): Promise<string | undefined> {
  const deadlineMs = performance.now() + SETTLE_MS;
  while (performance.now() < deadlineMs) {
    if (child.signalCode !== null) return `signal ${child.signalCode}`;
    if (child.exitCode !== null) return `code ${child.exitCode}`;
    if (await isListening(host, port)) return undefined;
    await sleep(SETTLE_POLL_MS);
  }
  return undefined;
}

function checkNames({ resource, instance }: StartRequest): void {
  try {
    asLabel(resource, "resource");
    asLabel(instance, "instance");
  } catch (error) {
    throw new ResourceError("refused", (error as Error).message);
  }
}

function pick(
  from: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])));
}

function portOf(running: RunningInstance): number {
  return Number(running.address.slice(running.address.lastIndexOf(":") + 1));
}

function ignore(): undefined {
  return undefined;
}
