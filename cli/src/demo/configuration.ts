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

export type DemoPlace = {
  readonly host: string;
  readonly replicatorGrpc: string;
  readonly mirrorData: string;
  /** Folder with the certificate "app-catalog". */
  readonly appTlsDir: string;
  readonly haproxySocket: string;
  /** host:port where clients reach the pool. */
  readonly frontend: string;
  /** Absolute path of the example service's main.ts. */
  readonly program: string;
  /** Where Node keeps compiled code, so that a new shadow starts with little work. */
  readonly compileCache: string;
};

/** Workers and service time for a rate: about 40 ms each. */
export function workersFor(ratePerUnit: number): { workers: number; serviceMs: number } {
  const workers = Math.max(1, Math.round((ratePerUnit * SERVICE_MS) / 1000));
  return { workers, serviceMs: (workers * 1000) / ratePerUnit };
}

export function demoConfiguration(
  place: DemoPlace,
  { policy, ratePerUnit, seed }: { policy: Policy; ratePerUnit: number; seed: number },
): string {
  const { workers, serviceMs } = workersFor(ratePerUnit);
  return stringify({
    resources: [
      {
        name: RESOURCE,
        run: {
          command: [process.execPath, place.program],
          env: {
            UNDERSTUDY_REPLICATOR_GRPC: place.replicatorGrpc,
            UNDERSTUDY_TLS_DIR: place.appTlsDir,
            NODE_COMPILE_CACHE: place.compileCache,
            CATALOG_WORKERS: String(workers),
            CATALOG_SERVICE_MS: String(serviceMs),
            CATALOG_SEED: String(seed),
          },
        },
        state: { paths: ["catalog.db"], consistency: "sqlite" },
        capacity: {
          signals: ["busyWorkers", "cpuCores"],
          target: CAPACITY_TARGET,
          initialRps: ratePerUnit * CAPACITY_TARGET,
        },
        routing: { pool: POOL, maxShadowShare: 0.9 },
        shadows: {
          min: STANDING_SHADOWS,
          max: policy === "static" ? STATIC_SHADOWS : SHADOWS_MAX,
          createMs: 2_000,
          warmUpMs: 2_000,
          holdMs: 2_000,
        },
        health: { http: "/healthz" },
        metrics: {
          path: "/metrics",
          map: {
            busyWorkers: "catalog_busy_workers",
            workers: "catalog_workers",
            queuedRequests: "catalog_queued_requests",
            servedPerSecond: "catalog_served_total",
          },
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
