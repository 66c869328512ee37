/** The whole service: listens at once, starts up, serves, and ends in order. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { type Barrier, connectBarrier } from "./barrier.ts";
import type { CatalogConfig } from "./config.ts";
import { burnCpu } from "./cpu-work.ts";
import { type CatalogReader, openReader, openWriter } from "./database.ts";
import { createCounters } from "./metrics.ts";
import { bootMs, mayWrite, readRole } from "./role.ts";
import { answerTo, type Catalog } from "./routes.ts";
import { buildIndex } from "./search.ts";
import { createServiceTime } from "./service-time.ts";
import { createWorkers } from "./workers.ts";
import { createWrites } from "./writes.ts";

const STATE_POLL_MS = 20;
/** Longer than the balancer keeps idle connections, or it would send requests into closing ones. */
const KEEP_ALIVE_MS = 120_000;
const CLOSE_WITHIN_MS = 3_000;

export type CatalogServer = { readonly port: number; close(): Promise<void> };

/** Resolves when it is ready to serve; rejects when the port is taken or the signal aborts before that. */
export async function startCatalog(config: CatalogConfig, signal: AbortSignal): Promise<CatalogServer> {
  const startedMs = performance.now();
  let catalog: Catalog | undefined;
  let closing = false;
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    answerTo(request, catalog).then(
      (answer) => {
        if (catalog) catalog.counters.responseBytes += answer.body.length;
        send(response, { ...answer, instance: config.instance, last: closing });
      },
      (error: Error) => fail(request, response, error),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(config.port, config.address, resolve);
  });
  const opened = await openCatalog(config, { startedMs, signal });
  catalog = opened.catalog;
  return {
    port: (server.address() as { port: number }).port,
    async close() {
      closing = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const cut = setTimeout(() => server.closeAllConnections(), CLOSE_WITHIN_MS);
      server.closeIdleConnections();
      await closed;
      clearTimeout(cut);
      opened.close();
    },
  };
}

async function openCatalog(
  config: CatalogConfig,
  { startedMs, signal }: { startedMs: number; signal: AbortSignal },
): Promise<{ catalog: Catalog; close(): void }> {
  const open = () => openWriter(config.stateDir, { products: config.products, seed: config.seed });
  const reader = await waitForState(config, { open, signal });
  const index = buildIndex(reader);
  // Our index is small; an ordinary service has more to load before it can answer, and this stands for it.
  await delay(Math.max(0, startedMs + config.startMs - performance.now()), undefined, { signal });
  const warmAtMs = performance.now() + config.warmUpMs;
  const serviceTime = createServiceTime({ meanMs: config.serviceMs, seed: config.seed });
  const cpuTime = createServiceTime({ meanMs: config.cpuMs, seed: config.seed });
  const isCold = () => performance.now() < warmAtMs;
  const workers = createWorkers({
    size: config.workers,
    queueMax: config.queueMax,
    serviceMs: () => serviceTime(isCold()),
    compute: () => burnCpu(cpuTime(isCold())),
  });
  const barrier: Barrier | undefined =
    config.replicator &&
    connectBarrier({ resource: config.resource, instance: config.instance, ...config.replicator });
  const writes = createWrites({ roleFile: config.roleFile, workers, barrier, open });
  const catalog = { reader, index, writes, workers, counters: createCounters(), nowMs: () => Date.now() };
  return {
    catalog,
    close() {
      writes.close();
      reader.close();
      barrier?.close();
    },
  };
}

/** A shadow waits until the mirror has put the tables in place; only a primary under a lease makes them itself. */
async function waitForState(
  config: CatalogConfig,
  { open, signal }: { open: () => { close(): void }; signal: AbortSignal },
): Promise<CatalogReader> {
  for (;;) {
    const reader = openReader(config.stateDir);
    if (reader) return reader;
    if (mayWrite(readRole(config.roleFile), bootMs())) open().close();
    else await delay(STATE_POLL_MS, undefined, { signal });
  }
}

function send(
  response: ServerResponse,
  answer: { status: number; body: string; headers?: Record<string, string>; instance: string; last: boolean },
): void {
  response.writeHead(answer.status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(answer.body),
    "server-instance": answer.instance,
    ...(answer.last ? { connection: "close" } : {}),
    ...answer.headers,
  });
  response.end(answer.body);
}

function fail(request: IncomingMessage, response: ServerResponse, error: Error): void {
  // A client that left in the middle of its body is no failure of ours.
  if (request.destroyed && !request.complete) return;
  process.stderr.write(`catalog: ${request.method} ${request.url}: ${error.stack ?? error.message}\n`);
  if (!response.headersSent) response.writeHead(500, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: "internal error" }));
}
