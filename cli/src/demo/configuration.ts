/** The understudy.yaml of the demo, as a user would write it. Only the policy differs between runs that are compared. */

import { stringify } from "yaml";

export const POLICIES = ["predictive", "reactive", "static", "none"] as const;
export type Policy = (typeof POLICIES)[number];

export const RESOURCE = "catalog";
export const POOL = "web";
export const STANDING_SHADOWS = 1;
const SHADOWS_MAX = 4;
/** The smallest standing number that carries the bursts: what somebody would keep who does not scale at all. */
const STATIC_SHADOWS = 3;
const SERVICE_MS = 40;

/** Held against the 95 % quantile of the demand, so that the mean utilisation stays near 0.8. */
const CAPACITY_TARGET = 0.95;
/** Shorter steps hold fewer arrivals: their noise would be taken for demand. */
const FORECAST_STEP_MS = 1_000;

/** Chosen by `npm run bench -- reactive-sweep`; docs/policies.md says how. */
const REACTIVE_TARGET = 0.7;
const REACTIVE_HOLD_MS = 0;

/** Of driver docker: what one container may use, and how much of that its requests compute; the rest is spent on serving them. */
export const DEMO_QUOTA = { cpus: 0.25, computed: 0.2 } as const;
/** A request of a container computes and does not wait; more at a time would only make each other late. */
const CONTAINER_WORKERS = 4;
/** Under a quota requests wait for the next period of 100 ms well before all of it is used. */
const CONTAINER_TARGET = 0.85;
const CONTAINER_CREATE_MS = 6_000;

export type DemoPlace = {
  readonly host: string;
  readonly replicatorGrpc: string;
  readonly mirrorData: string;
  readonly haproxySocket: string;
  /** host:port where clients reach the pool. */
  readonly frontend: string;
  readonly instances: ProcessInstances | ContainerInstances;
};

export type ProcessInstances = {
  readonly driver: "process";
  /** Folder with the certificate "app-catalog". */
  readonly appTlsDir: string;
  /** Absolute path of the example service's main.ts. */
  readonly program: string;
  /** Where Node keeps compiled code, so that a new shadow starts with little work. */
  readonly compileCache: string;
};

export type ContainerInstances = {
  readonly driver: "docker";
  /** Of the running container that is adopted. */
  readonly name: string;
  readonly network: string;
  readonly port: number;
  readonly stateDir: string;
  readonly roleFile: string;
};

type Size = { readonly ratePerUnit: number; readonly seed: number };

/** Workers and service time for a rate: about 40 ms each. */
export function workersFor(ratePerUnit: number): { workers: number; serviceMs: number } {
  const workers = Math.max(1, Math.round((ratePerUnit * SERVICE_MS) / 1000));
  return { workers, serviceMs: (workers * 1000) / ratePerUnit };
}

/** Environment of a container whose requests compute, so that its quota is what it can do. */
export function containerEnvironment({ ratePerUnit, seed }: Size): Record<string, string> {
  return {
    CATALOG_WORKERS: String(CONTAINER_WORKERS),
    CATALOG_SERVICE_MS: "0",
    CATALOG_CPU_MS: String((DEMO_QUOTA.cpus * DEMO_QUOTA.computed * 1000) / ratePerUnit),
    CATALOG_SEED: String(seed),
  };
}

export function demoConfiguration(
  place: DemoPlace,
  { policy, ...size }: Size & { readonly policy: Policy },
): string {
  const { instances } = place;
  const run =
    instances.driver === "process" ? processRun(place, instances, size) : containerRun(instances, size);
  return stringify({
    resources: [
      {
        name: RESOURCE,
        ...run,
        state: { paths: ["catalog.db"], consistency: "sqlite" },
        routing: { pool: POOL, maxShadowShare: 0.9 },
        shadows: {
          min: STANDING_SHADOWS,
          max: policy === "static" ? STATIC_SHADOWS : SHADOWS_MAX,
          createMs: instances.driver === "process" ? 2_000 : CONTAINER_CREATE_MS,
          warmUpMs: 2_000,
          holdMs: 2_000,
        },
        forecast: {
          policy,
          stepMs: FORECAST_STEP_MS,
          reactiveTarget: REACTIVE_TARGET,
          reactiveHoldMs: REACTIVE_HOLD_MS,
        },
      },
    ],
    pools: [{ name: POOL, socket: place.haproxySocket, frontend: place.frontend }],
    hosts: [{ name: place.host, control: place.replicatorGrpc, data: place.mirrorData }],
  });
}

const SERVED = { servedPerSecond: "catalog_served_total" };

function processRun(place: DemoPlace, instances: ProcessInstances, { ratePerUnit, seed }: Size) {
  const { workers, serviceMs } = workersFor(ratePerUnit);
  return {
    run: {
      command: [process.execPath, instances.program],
      env: {
        UNDERSTUDY_REPLICATOR_GRPC: place.replicatorGrpc,
        UNDERSTUDY_TLS_DIR: instances.appTlsDir,
        NODE_COMPILE_CACHE: instances.compileCache,
        CATALOG_WORKERS: String(workers),
        CATALOG_SERVICE_MS: String(serviceMs),
        CATALOG_SEED: String(seed),
      },
    },
    capacity: {
      signals: ["busyWorkers", "cpuCores"],
      target: CAPACITY_TARGET,
      initialRps: ratePerUnit * CAPACITY_TARGET,
    },
    health: { http: "/healthz" },
    metrics: {
      path: "/metrics",
      map: {
        busyWorkers: "catalog_busy_workers",
        workers: "catalog_workers",
        queuedRequests: "catalog_queued_requests",
        ...SERVED,
      },
    },
  };
}

/** Its workers say nothing of how busy it is: the quota does. */
function containerRun(instances: ContainerInstances, { ratePerUnit }: Size) {
  const { driver, name, network, port, stateDir, roleFile } = instances;
  return {
    kind: "container",
    driver,
    container: { name, network, port, stateDir, roleFile, onPromote: "role-file" },
    run: { readyWithinMs: 60_000 },
    capacity: {
      signals: ["cpuCores"],
      limits: { cpuCores: DEMO_QUOTA.cpus },
      target: CONTAINER_TARGET,
      initialRps: ratePerUnit * CONTAINER_TARGET,
    },
    health: { http: "/healthz", timeoutMs: 1_000 },
    metrics: { path: "/metrics", map: SERVED },
  };
}
