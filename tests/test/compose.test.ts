/**
 * The compose cluster as a user starts it: built, healthy, the catalog's container on one host under protection with a shadow on
 * the other; its death, and the death of every other part, heal by themselves. Needs an engine and minutes, so `.ci/containers` asks
 * for it.
 */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import {
  type ComposeCluster,
  hasShadowInSync,
  openComposeCluster,
  PARTS,
  until,
} from "@understudy/testkit/compose-cluster";

const WANTED = process.env.UNDERSTUDY_TEST_COMPOSE === "1";
const UP_WITHIN_S = 180;
const HEAL_WITHIN_MS = 90_000;
const ANSWER_WITHIN_MS = 15_000;
const IMAGE_BYTES_MAX = 220e6;

let cluster: ComposeCluster;
const within = (what: string, holds: () => boolean | Promise<boolean>) =>
  until(holds, { what, withinMs: HEAL_WITHIN_MS });
const url = (path: string) => `http://127.0.0.1:${cluster.port}${path}`;

async function order(key = randomUUID()): Promise<{ ok: boolean; id: number }> {
  const response = await fetch(url("/orders"), {
    method: "POST",
    headers: { "idempotency-key": key },
    body: JSON.stringify({ product: 5, quantity: 1 }),
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  const body = (await response.json()) as { order?: number };
  return { ok: response.ok, id: body.order ?? 0 };
}

async function reads(path: string): Promise<boolean> {
  const response = await fetch(url(path), { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  await response.arrayBuffer();
  return response.ok;
}

describe("the compose cluster", {
  skip: WANTED ? false : "UNDERSTUDY_TEST_COMPOSE=1 is not set: .ci/containers runs it",
  timeout: 1_200_000,
}, () => {
  before(async () => {
    const port = 20_000 + (process.pid % 10_000);
    cluster = await openComposeCluster({ project: `understudy-test-${process.pid}`, port });
    await cluster.build();
  });
  after(() => cluster?.remove());

  it("is healthy as a whole, from images of less than 220 MB that list what is in them", async () => {
    const startedMs = performance.now();
    await cluster.up(UP_WITHIN_S);
    console.log(`all healthy after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
    const image = "understudy-replicator";
    const bytes = Number(await cluster.docker(["image", "inspect", "-f", "{{.Size}}", image]));
    console.log(`image: ${(bytes / 1e6).toFixed(0)} MB`);
    assert.ok(bytes < IMAGE_BYTES_MAX);
    const label = '{{index .Config.Labels "dev.understudy.sbom"}}';
    const file = await cluster.docker(["image", "inspect", "-f", label, image]);
    const print = `process.stdout.write(require("node:fs").readFileSync(${JSON.stringify(file)}, "utf8"))`;
    const run = ["run", "--rm", "--network", "none", "--entrypoint", "node", image, "-e", print];
    const { components } = JSON.parse(await cluster.docker(run)) as { components: { purl?: string }[] };
    // A library without a Debian package has its hash alone.
    const kinds = (start: string) => components.filter(({ purl = "" }) => purl.startsWith(start)).length;
    assert.ok(kinds("pkg:npm/") > 20, "npm's packages");
    assert.equal(kinds("pkg:generic/node@"), 1);
  });

  it("mirrors the catalog's container to the other host, as understudy status shows", async () => {
    await within("a shadow in sync", async () => hasShadowInSync(await cluster.status()));
    const status = await cluster.status();
    console.log(status);
    assert.match(status, /^catalog-1 +primary .* host-a /m);
    assert.match(status, /^catalog-2 +shadow .* host-b /m);
    assert.ok((await order()).ok);
    assert.ok(await reads("/products/5"));
  });

  it("goes on when the catalog's container is killed, and has everything it had answered", async () => {
    const orders: number[] = [];
    for (let n = 0; n < 10; n += 1) orders.push((await order()).id);
    await cluster.docker(["kill", await cluster.primaryContainer()]);
    const key = randomUUID();
    const tookMs = await within("a write", async () => (await order(key)).ok);
    console.log(`from docker kill to the first answered write: ${tookMs.toFixed(0)} ms`);
    for (const id of orders) assert.ok(await reads(`/orders/${id}`), `order ${id} is gone`);
    await within("a new shadow in sync", async () => hasShadowInSync(await cluster.status()));
    assert.match(await cluster.status(), /catalog: epoch [2-9]/);
  });

  for (const part of PARTS) {
    it(`heals when ${part} crashes`, async () => {
      await cluster.crash(part);
      await within(`${part} runs again`, () => cluster.isHealed(part));
      await within("a read", () => reads("/products/6"));
      await within("a write", async () => (await order()).ok);
    });
  }
});
