import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import type { Arrival, RequestKind } from "./demand.ts";
import { runLoad } from "./load.ts";
import { hasFailed, type LoadResult } from "./records.ts";

async function load(t: TestContext, listener: RequestListener, arrivals: Arrival[]): Promise<LoadResult> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const nothing = () => undefined;
  const signal = new AbortController().signal;
  return runLoad({
    arrivals,
    host: "127.0.0.1",
    port,
    keyPrefix: "k",
    onStart: nothing,
    onProgress: nothing,
    signal,
  });
}

/** With its length in the head, as the service and the balancer answer. */
function answer(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { "content-length": Buffer.byteLength(body) }).end(body);
}

const at = (atMs: number, kind: RequestKind = "product", choice = 0): Arrival => ({ atMs, kind, choice });

test("latency counts from the moment a request was meant to be sent, however slow the service", async (t) => {
  const slow: RequestListener = (_, response) => void setTimeout(() => response.end('{"orders":0}'), 120);
  const { records } = await load(t, slow, [at(0), at(10), at(20)]);
  assert.equal(records.length, 3);
  for (const record of records) assert.ok(record.latencyMs >= 115 && record.latencyMs < 1_000);
});

test("it does not wait for answers: all are in flight together", async (t) => {
  let together = 0;
  let most = 0;
  const slow: RequestListener = (_, response) => {
    together += 1;
    most = Math.max(most, together);
    setTimeout(() => {
      together -= 1;
      response.end('{"orders":0}');
    }, 200);
  };
  await load(
    t,
    slow,
    Array.from({ length: 40 }, (_, index) => at(index)),
  );
  assert.ok(most >= 30, `${most} together`);
});

test("a broken connection and a bad status fail once, without a retry", async (t) => {
  let asked = 0;
  const { records } = await load(
    t,
    (request, response) => {
      asked += 1;
      if (request.url === "/products/1") request.socket.destroy();
      else answer(response, 503, "");
    },
    [at(0, "product", 0), at(5, "product", 0.999)],
  );
  assert.equal(asked, 2);
  assert.deepEqual(
    records.map((record) => record.status),
    [0, 503],
  );
  assert.ok(records.every(hasFailed));
});

test("a read that misses a write acknowledged before it was sent is stale; one sent earlier is not", async (t) => {
  let ordered = false;
  const forgetful: RequestListener = (request, response) => {
    response.setHeader("server-instance", "catalog-2");
    if (request.method === "POST") {
      ordered = true;
      answer(response, 201, '{"order":7,"product":1,"orders":3}');
    } else if (request.url === "/orders/7") answer(response, 404, "{}");
    else setTimeout(() => response.end('{"orders":2}'), ordered ? 0 : 150);
  };
  const { records } = await load(t, forgetful, [at(0), at(50, "order"), at(250), at(260, "order-read")]);
  assert.deepEqual(
    records.map((record) => record.stale),
    [false, false, true, true],
  );
  assert.equal(records[2]!.instance, "catalog-2");
  assert.equal(records.some(hasFailed), false);
});

test("each write has a key of its own", async (t) => {
  const keys: unknown[] = [];
  const listener: RequestListener = (request, response) => {
    keys.push(request.headers["idempotency-key"]);
    request.resume();
    answer(response, 201, '{"order":1,"product":1,"orders":1}');
  };
  const { records } = await load(t, listener, [at(0, "order"), at(1, "view"), at(2, "order")]);
  assert.deepEqual(keys.toSorted(), ["k-0", "k-1", "k-2"]);
  assert.deepEqual(
    records.map((record) => record.key),
    ["k-0", "k-1", "k-2"],
  );
});
