/** A resource for tests. */

import { NO_FILES, type ResourceSpec } from "@understudy/model/policy";

export const exampleSpec: ResourceSpec = {
  name: "app",
  kind: "process",
  driver: "process",
  run: { command: ["true"], env: {}, readyWithinMs: 5000 },
  state: { ...NO_FILES, paths: ["app.db"], consistency: "sqlite", tickMs: 50, critical: "in-sync" },
  capacity: { signals: ["busyWorkers"], limits: {}, target: 0.8, initialRps: 100 },
  routing: { pool: "web", reads: ["GET"], maxShadowShare: 0.8, maxStalenessMs: 2000, onlyStale: "refuse" },
  shadows: { min: 1, max: 3, hosts: [], warmUpMs: 0, createMs: 1000, holdMs: 0 },
  health: { http: "/healthz", tcp: false, exec: [], intervalMs: 100, timeoutMs: 500, rise: 2, fall: 3 },
  metrics: { path: "", map: {} },
  forecast: {
    policy: "predictive",
    stepMs: 1000,
    quantile: 0.95,
    horizonMs: 10_000,
    reactiveTarget: 0.7,
    reactiveHoldMs: 10_000,
  },
  lease: { durationMs: 3000 },
  mode: "act",
};
