/** What the manifests describe, started without a cluster: each service with exactly what its manifest gives it becomes ready. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { waitFor } from "@understudy/testkit/wait";
import { startKustomization } from "../src/kubernetes/start.ts";
import { REPOSITORY } from "../src/sources.ts";

/** Generous: everything starts from nothing, and machines that test are busy. */
const WITHIN_MS = 120_000;
const ANSWER_WITHIN_MS = 10_000;
const TEST_MS = 420_000;

for (const folder of ["k8s/overlays/dev", "k8s/overlays/production"])
  test(`${folder}: streams are made, the configuration applied, and every service is ready`, {
    timeout: TEST_MS,
  }, async () => {
    const started = await startKustomization(join(REPOSITORY, folder), { applications: [] });
    try {
      await started.allReady();
      const names = Object.keys(await started.readiness()).map((name) => name.split("/")[1]);
      for (const name of ["collector", "predictor", "balancer", "health", "replicator"])
        assert.ok(names.includes(name), `${name} has an HTTP readiness probe`);
    } finally {
      await started.close();
    }
  });

test("the catalog's pod: ready, and a read and a critical write go through its Service", {
  timeout: TEST_MS,
}, async () => {
  const folder = join(REPOSITORY, "examples/k8s-sidecar/one-pod");
  const started = await startKustomization(folder, { applications: ["catalog"] });
  try {
    const url = `http://${started.service("catalog", 80)}`;
    await waitFor(() => isOk(`${url}/products/1`), { withinMs: WITHIN_MS, what: "a read through the pool" });
    // Answered only once a shadow has it on disk.
    await waitFor(() => isOk(`${url}/orders`, order()), { withinMs: WITHIN_MS, what: "a critical write" });
    await started.allReady();
  } finally {
    await started.close();
  }
});

async function isOk(url: string, request: RequestInit = {}): Promise<boolean> {
  const response = await fetch(url, { ...request, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  await response.arrayBuffer();
  return response.ok;
}

function order(): RequestInit {
  return {
    method: "POST",
    headers: { "idempotency-key": randomUUID(), "content-type": "application/json" },
    body: JSON.stringify({ product: 5, quantity: 1 }),
  };
}
