import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfiguration } from "@understudy/service/configuration";
import {
  type ContainerInstances,
  containerEnvironment,
  DEMO_QUOTA,
  demoConfiguration,
  POLICIES,
  type ProcessInstances,
  workersFor,
} from "./configuration.ts";

const PLACE = {
  host: "host-a",
  replicatorGrpc: "127.0.0.1:1001",
  mirrorData: "127.0.0.1:1002",
  haproxySocket: "/run/admin.sock",
  frontend: "127.0.0.1:8080",
};
const INSTANCES: readonly (ProcessInstances | ContainerInstances)[] = [
  {
    driver: "process",
    appTlsDir: "/tls/app-catalog",
    program: "/repo/examples/catalog/src/main.ts",
    compileCache: "/repo/.understudy/compile-cache",
  },
  {
    driver: "docker",
    name: "understudy-1-catalog",
    network: "understudy-1",
    port: 8080,
    stateDir: "/state",
    roleFile: "/run/understudy/role.json",
  },
];

for (const instances of INSTANCES)
  test(`every policy gives a configuration without a mistake, and they differ in nothing that would tilt them: ${instances.driver}`, () => {
    const parsed = POLICIES.map((policy) => {
      const outcome = parseConfiguration(
        demoConfiguration({ ...PLACE, instances }, { policy, ratePerUnit: 200, seed: 1 }),
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

test("what requests compute at the rate of one instance fits its quota, and leaves some to serve them", () => {
  for (const ratePerUnit of [10, 100, 200]) {
    const { CATALOG_CPU_MS } = containerEnvironment({ ratePerUnit, seed: 1 });
    const cores = (Number(CATALOG_CPU_MS) * ratePerUnit) / 1000;
    assert.ok(cores > 0 && cores < DEMO_QUOTA.cpus / 2);
  }
});
