import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfiguration } from "@understudy/service/configuration";
import { demoConfiguration, POLICIES, workersFor } from "./configuration.ts";

const PLACE = {
  host: "host-a",
  replicatorGrpc: "127.0.0.1:1001",
  mirrorData: "127.0.0.1:1002",
  appTlsDir: "/tls/app-catalog",
  haproxySocket: "/run/admin.sock",
  frontend: "127.0.0.1:8080",
  program: "/repo/examples/catalog/src/main.ts",
  compileCache: "/repo/.understudy/compile-cache",
};

test("every policy gives a configuration without a mistake, and they differ in nothing that would tilt them", () => {
  const parsed = POLICIES.map((policy) => {
    const outcome = parseConfiguration(
      demoConfiguration(PLACE, { policy, ratePerUnit: 200, seed: 1 }),
      "demo.yaml",
    );
    assert.ok(outcome.ok, JSON.stringify(outcome));
    const [resource] = outcome.configuration.resources;
    assert.equal(resource!.forecast.policy, policy);
    const { policy: _, ...forecast } = resource!.forecast;
    const { max: __, ...shadows } = resource!.shadows;
    return { ...resource!, forecast, shadows };
  });
  for (const one of parsed) assert.deepEqual(one, parsed[0]);
});

test("workers and service time give the rate that was asked for", () => {
  for (const rate of [10, 25, 100, 200, 333]) {
    const { workers, serviceMs } = workersFor(rate);
    assert.ok(Math.abs((workers * 1000) / serviceMs - rate) < 1e-9);
    assert.ok(Number.isInteger(workers) && serviceMs > 20 && serviceMs <= 100);
  }
});
