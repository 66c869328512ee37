/** The whole service in a process of its own, with a real role file and a real gRPC Barrier. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { type GrpcServer, implement, serveGrpc } from "@understudy/service/grpc";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";
import { BarrierResponseSchema, ReplicationControl } from "@understudy/wire/gen/control";
import { bootMs } from "../src/role.ts";

const MAIN = join(import.meta.dirname, "../src/main.ts");
const READY_WITHIN_MS = 10_000;

type Service = {
  url: string;
  dir: string;
  child: ChildProcess;
  setRole(role: string, leaseMs: number): void;
};

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "catalog-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function start(
  t: TestContext,
  {
    role = "primary",
    env = {},
    dir = folder(t),
  }: { role?: string; env?: Record<string, string>; dir?: string } = {},
): Promise<Service> {
  const port = await freePort();
  const setRole = (name: string, leaseMs: number) => {
    const order = { role: name, epoch: 1, untilBootMs: bootMs() + leaseMs };
    writeFileSync(join(dir, "role.new"), JSON.stringify(order));
    renameSync(join(dir, "role.new"), join(dir, "role.json"));
  };
  setRole(role, 60_000);
  const child = spawn(process.execPath, [MAIN], {
    stdio: ["ignore", "ignore", "inherit"],
    env: {
      UNDERSTUDY_RESOURCE: "catalog",
      UNDERSTUDY_INSTANCE: "catalog-1",
      UNDERSTUDY_STATE_DIR: dir,
      UNDERSTUDY_PORT: String(port),
      UNDERSTUDY_ROLE_FILE: join(dir, "role.json"),
      CATALOG_START_MS: "0",
      CATALOG_WARM_UP_MS: "0",
      CATALOG_SERVICE_MS: "2",
      CATALOG_PRODUCTS: "100",
      ...env,
    },
  });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  return { url: `http://127.0.0.1:${port}`, dir, child, setRole };
}

async function isReady(service: Service): Promise<boolean> {
  return fetch(`${service.url}/healthz`).then(
    (response) => response.text().then(() => response.ok),
    () => false,
  );
}

async function ready(service: Service): Promise<Service> {
  const endMs = performance.now() + READY_WITHIN_MS;
  while (!(await isReady(service))) {
    assert.ok(performance.now() < endMs, "ready in time");
    await delay(10);
  }
  return service;
}

function post(
  service: Service,
  path: string,
  { key, product = 1 }: { key?: string; product?: unknown },
): Promise<Response> {
  const headers: Record<string, string> = key === undefined ? {} : { "idempotency-key": key };
  return fetch(service.url + path, { method: "POST", body: JSON.stringify({ product }), headers });
}

test("a primary serves reads and writes, names itself, and answers a repeated key with the first answer", async (t) => {
  const service = await ready(await start(t));
  const first = await post(service, "/orders", { key: "k1", product: 5 });
  assert.equal(first.status, 201);
  assert.equal(first.headers.get("server-instance"), "catalog-1");
  const again = await post(service, "/orders", { key: "k1", product: 5 });
  assert.equal(again.headers.get("idempotent-replayed"), "true");
  assert.deepEqual(await again.json(), await first.json());
  assert.equal((await post(service, "/views", { key: "k2", product: 5 })).status, 201);
  const product = (await (await fetch(`${service.url}/products/5`)).json()) as {
    orders: number;
    views: number;
    name: string;
  };
  assert.deepEqual([product.orders, product.views], [1, 1]);
  const word = product.name.split(" ")[0];
  const found = (await (await fetch(`${service.url}/products?q=${word}`)).json()) as { id: number }[];
  assert.ok(found.length > 0);
  assert.equal((await fetch(`${service.url}/orders/1`)).status, 200);
  assert.equal((await fetch(`${service.url}/orders/2`)).status, 404);
});

test("bad writes are refused with what was wanted", async (t) => {
  const service = await ready(await start(t));
  assert.match(await (await post(service, "/orders", {})).text(), /Idempotency-Key/);
  assert.match(await (await post(service, "/orders", { key: "k", product: "x" })).text(), /id of a product/);
  const headers = { "idempotency-key": "k" };
  const huge = await fetch(`${service.url}/orders`, { method: "POST", body: "x".repeat(20_000), headers });
  assert.equal(huge.status, 400);
  assert.equal((await fetch(`${service.url}/orders`, { method: "DELETE" })).status, 405);
});

test("without the lease a write waits a moment and is not executed", async (t) => {
  const service = await ready(await start(t));
  service.setRole("primary", -1);
  const sentMs = performance.now();
  assert.equal((await post(service, "/orders", { key: "k", product: 7 })).status, 425);
  assert.ok(performance.now() - sentMs >= 55);
  service.setRole("shadow", 60_000);
  assert.equal((await post(service, "/views", { key: "k", product: 7 })).status, 425);
  const product = (await (await fetch(`${service.url}/products/7`)).json()) as { orders: number };
  assert.equal(product.orders, 0);
});

test("a lease that ends while a write waits for its worker refuses the write", async (t) => {
  const service = await ready(await start(t, { env: { CATALOG_SERVICE_MS: "400" } }));
  const writing = post(service, "/orders", { key: "k", product: 9 });
  const busy = async () =>
    /catalog_busy_workers 1$/m.test(await (await fetch(`${service.url}/metrics`)).text());
  while (!(await busy())) await delay(5);
  service.setRole("shadow", 60_000);
  assert.equal((await writing).status, 425);
});

test("a shadow waits for its state, then serves it and follows what is written into it", async (t) => {
  const dir = folder(t);
  const shadow = await start(t, { role: "shadow", dir });
  while (
    !(await fetch(`${shadow.url}/healthz`).then(
      (response) => response.status === 503,
      () => false,
    ))
  )
    await delay(10);
  const { openWriter } = await import("../src/database.ts");
  const writer = openWriter(dir, { products: 100, seed: 1 });
  await ready(shadow);
  writer.createOrder({ key: "k", product: 3, quantity: 1, atMs: 0 });
  const product = (await (await fetch(`${shadow.url}/products/3`)).json()) as { orders: number };
  assert.equal(product.orders, 1);
  writer.close();
});

test("health and metrics answer while every worker is busy, and a full queue refuses", async (t) => {
  const env = { CATALOG_WORKERS: "1", CATALOG_QUEUE_MAX: "1", CATALOG_SERVICE_MS: "500" };
  const service = await ready(await start(t, { env }));
  const answers = Promise.all([1, 2, 3, 4].map((id) => fetch(`${service.url}/products/${id}`)));
  assert.ok(await isReady(service));
  assert.match(await (await fetch(`${service.url}/metrics`)).text(), /^catalog_workers 1$/m);
  const statuses = (await answers).map((answer) => answer.status).sort();
  assert.deepEqual(statuses, [200, 200, 503, 503]);
});

test("a cold cache halves the speed at first", async (t) => {
  // The quickest of several rounds: a busy machine can only make one slower.
  const quickestMs = async (warmUpMs: string) => {
    const service = await ready(
      await start(t, { env: { CATALOG_SERVICE_MS: "100", CATALOG_WARM_UP_MS: warmUpMs } }),
    );
    const rounds: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      const startMs = performance.now();
      await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((id) => fetch(`${service.url}/products/${id}`)));
      rounds.push(performance.now() - startMs);
    }
    return Math.min(...rounds);
  };
  const coldMs = await quickestMs("600000");
  const warmMs = await quickestMs("0");
  assert.ok(warmMs < coldMs * 0.75, `${warmMs} ms warm, ${coldMs} ms cold`);
});

test("SIGTERM finishes what is in flight and exits 0", async (t) => {
  const service = await ready(await start(t, { env: { CATALOG_SERVICE_MS: "300" } }));
  const writing = post(service, "/views", { key: "k", product: 2 });
  const busy = async () =>
    /catalog_busy_workers 1$/m.test(await (await fetch(`${service.url}/metrics`)).text());
  while (!(await busy())) await delay(5);
  service.child.kill("SIGTERM");
  assert.equal((await writing).status, 201);
  const [code] = (await once(service.child, "exit")) as [number];
  assert.equal(code, 0);
});

test("a taken port ends the start with a sentence", async (t) => {
  const first = await ready(await start(t));
  const port = new URL(first.url).port;
  const second = await start(t, { env: { UNDERSTUDY_PORT: port } });
  const [code] = (await once(second.child, "exit")) as [number];
  assert.equal(code, 1);
});

test("a critical write waits for Barrier through a restart of the replicator; a view does not", async (t) => {
  const dir = folder(t);
  const authority = await createAuthority(join(dir, "ca"));
  await issueCertificate(authority, { name: "app-catalog", dir: join(dir, "app") });
  await issueCertificate(authority, { name: "replicator", dir: join(dir, "replicator") });
  const grpcPort = await freePort();
  const barriers: { peer: string; instance: string; epoch: bigint }[] = [];
  const serve = (): Promise<GrpcServer> =>
    serveGrpc({
      listen: { host: "127.0.0.1", port: grpcPort },
      tls: readTls(join(dir, "replicator")),
      services: [
        implement(ReplicationControl, {
          async barrier(
            { instance, epoch }: { instance: string; epoch: bigint },
            { peer }: { peer: string },
          ) {
            barriers.push({ peer, instance, epoch });
            return create(BarrierResponseSchema, {});
          },
        } as unknown as Parameters<typeof implement<typeof ReplicationControl>>[1]),
      ],
    });
  const env = { UNDERSTUDY_REPLICATOR_GRPC: `127.0.0.1:${grpcPort}`, UNDERSTUDY_TLS_DIR: join(dir, "app") };
  const service = await ready(await start(t, { env }));
  let answered = false;
  const ordering = post(service, "/orders", { key: "k", product: 4 }).then((response) => {
    answered = true;
    return response;
  });
  assert.equal((await post(service, "/views", { key: "v", product: 4 })).status, 201);
  while (((await (await fetch(`${service.url}/products/4`)).json()) as { orders: number }).orders === 0)
    await delay(5);
  assert.equal(answered, false, "committed, but not confirmed");
  const grpc = await serve();
  t.after(() => grpc.close());
  assert.equal((await ordering).status, 201);
  assert.deepEqual(barriers, [{ peer: "app-catalog", instance: "catalog-1", epoch: 1n }]);
});
