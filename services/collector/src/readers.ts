/**
 * Everything that is read on this host, in line with the configuration and the roles: opens what is new, closes what has
 * ended, and gathers one tick's readings. What did not change keeps its files, connections and counters.
 */

import type { Instance, Roles } from "@understudy/model/instance";
import type { Configuration, ResourceSpec } from "@understudy/model/policy";
import { type OpenTraffic, PoolReader } from "./balancer.ts";
import { LateReading } from "./late.ts";
import { LinkProber } from "./links.ts";
import { InstanceProcReader, type MachineUnits } from "./proc.ts";
import type { ApplicationReading, InstanceReading, PoolReading, Readings } from "./reading.ts";
import { Scraper } from "./scrape.ts";

type OpenInstance = {
  readonly about: Pick<InstanceReading, "resource" | "instance" | "incarnation">;
  readonly proc: InstanceProcReader;
  readonly scraper: Scraper | undefined;
  readonly page: LateReading<ApplicationReading> | undefined;
};
type OpenPool = { readonly reader: PoolReader; readonly late: LateReading<PoolReading> };

export type ReadersOptions = {
  readonly host: string;
  readonly units: MachineUnits;
  /** Where the host's control groups are mounted. */
  readonly cgroupRoot?: string;
  readonly openTraffic: OpenTraffic;
  /** Bound of a scrape: below the tick. */
  readonly timeoutMs: number;
  readonly failed: (source: "application" | "balancer", error: Error) => void;
};

export class Readers {
  readonly #options: ReadersOptions;
  readonly #instances = new Map<string, OpenInstance>();
  readonly #pools = new Map<string, OpenPool>();
  readonly #links = new LinkProber();
  readonly #roles = new Map<string, Roles>();
  #configuration: Configuration = { resources: [], pools: [], hosts: [] };

  constructor(options: ReadersOptions) {
    this.#options = options;
  }

  configure(configuration: Configuration): void {
    this.#configuration = configuration;
    this.#reconcilePools();
    this.#reconcileInstances();
    this.#links.set(configuration.hosts);
  }

  takeRoles(roles: Roles): void {
    this.#roles.set(roles.resource, roles);
    this.#reconcileInstances();
  }

  /** Asks whatever takes time; resolves when all of it has come or failed. */
  async start(): Promise<void> {
    const pages = [...this.#instances.values()].map(({ page }) => page?.start());
    await Promise.all([...pages, ...[...this.#pools.values()].map(({ late }) => late.start())]);
  }

  /** Reads what is quick, and takes what has come of the rest. */
  collect(atMs: number): Readings {
    const instances = [...this.#instances.values()].map(({ about, proc, page }) => ({
      ...about,
      host: proc.read(performance.now()),
      application: page?.take(),
    }));
    const pools = [...this.#pools.values()].flatMap(
      ({ reader, late }) => late.take() ?? reader.missing(atMs) ?? [],
    );
    return { atMs, instances, pools, links: this.#links.read() };
  }

  /** Instances with a page of metrics. */
  scraped(): number {
    return [...this.#instances.values()].filter(({ page }) => page).length;
  }

  async close(): Promise<void> {
    this.#links.close();
    for (const key of [...this.#instances.keys()]) this.#closeInstance(key);
    await Promise.all([...this.#pools.keys()].map((key) => this.#closePool(key)));
  }

  #reconcileInstances(): void {
    const wanted = new Map<string, { resource: ResourceSpec; instance: Instance }>();
    for (const resource of this.#configuration.resources) {
      for (const instance of this.#roles.get(resource.name)?.instances ?? []) {
        if (!this.#runsHere(instance)) continue;
        const { name, incarnation, address, pid, pidStartTicks } = instance;
        const key = JSON.stringify([
          resource.name,
          name,
          incarnation,
          address,
          pid,
          pidStartTicks,
          resource.metrics,
        ]);
        wanted.set(key, { resource, instance });
      }
    }
    for (const key of [...this.#instances.keys()]) if (!wanted.has(key)) this.#closeInstance(key);
    for (const [key, { resource, instance }] of wanted) {
      if (!this.#instances.has(key)) this.#instances.set(key, this.#openInstance(resource, instance));
    }
  }

  #runsHere({ host, pid, phase }: Instance): boolean {
    return host === this.#options.host && pid > 0 && phase !== "gone";
  }

  #openInstance(resource: ResourceSpec, instance: Instance): OpenInstance {
    const { path, map } = resource.metrics;
    const { timeoutMs, failed, units, cgroupRoot } = this.#options;
    const scraper =
      path === "" ? undefined : new Scraper({ address: instance.address, path, map, timeoutMs });
    return {
      about: { resource: resource.name, instance: instance.name, incarnation: instance.incarnation },
      proc: new InstanceProcReader(instance, units, cgroupRoot),
      scraper,
      page:
        scraper &&
        new LateReading(
          () => scraper.read(),
          (error) => failed("application", error),
        ),
    };
  }

  #closeInstance(key: string): void {
    const open = this.#instances.get(key);
    this.#instances.delete(key);
    open?.proc.close();
    open?.scraper?.close();
  }

  #reconcilePools(): void {
    const { resources, pools } = this.#configuration;
    const wanted = new Map(
      pools.flatMap((pool) => {
        const resource = resources.find(({ routing }) => routing.pool === pool.name);
        return resource
          ? [[JSON.stringify([resource.name, pool]), { resource: resource.name, pool }] as const]
          : [];
      }),
    );
    for (const key of [...this.#pools.keys()]) {
      if (!wanted.has(key))
        this.#closePool(key).catch((error: Error) => this.#options.failed("balancer", error));
    }
    for (const [key, { resource, pool }] of wanted) {
      const driver = this.#pools.has(key) ? undefined : this.#options.openTraffic(pool);
      if (!driver) continue;
      const reader = new PoolReader(resource, driver);
      const failed = (error: Error): void => this.#options.failed("balancer", error);
      this.#pools.set(key, { reader, late: new LateReading(() => reader.read(), failed) });
    }
  }

  async #closePool(key: string): Promise<void> {
    const open = this.#pools.get(key);
    this.#pools.delete(key);
    await open?.reader.close();
  }
}
