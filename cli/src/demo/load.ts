/**
 * An open-loop load generator: requests are sent when the arrivals say so, whether or not earlier ones were answered,
 * and latency counts from that moment, so that a service that stalls cannot hide it by slowing its clients down.
 * A request that fails stays failed: there is no retry here.
 */

import type { Arrival } from "./demand.ts";
import { type ConnectionPool, type Exchanged, openConnections } from "./http-connection.ts";
import {
  hasFailed,
  isWrite,
  type LoadProgress,
  type LoadResult,
  percentile,
  type RequestRecord,
} from "./records.ts";

const TIMEOUT_MS = 12_000;
/** Idle sockets are closed before the balancer closes them, or a request could meet a closing one. */
const SOCKET_IDLE_MS = 3_000;
const PROGRESS_EVERY_MS = 500;
const PRODUCTS = 4_000;
/** Few products are popular: with choice in [0, 1), a quarter of the requests go to the first 16 of 4,000. */
const POPULARITY = 4;
const RECENT_ORDERS = 64;

export type LoadOptions = {
  readonly arrivals: readonly Arrival[];
  readonly host: string;
  readonly port: number;
  readonly keyPrefix: string;
  readonly onStart: (startedAtMs: number) => void;
  readonly onProgress: (progress: LoadProgress) => void;
  readonly signal: AbortSignal;
};

/** What the client knows by the answers it got: what no later read may miss. */
type Known = { readonly ordersOf: Map<number, number>; readonly recentOrders: number[] };

/** Sends every arrival and resolves when the last one is answered or given up. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { host, port } = options;
  const connections = openConnections({ host, port, idleMs: SOCKET_IDLE_MS, header: "server-instance" });
  const known: Known = { ordersOf: new Map(), recentOrders: [] };
  const records: RequestRecord[] = [];
  const lateMs: number[] = [];
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  const startedAtMs = Date.now();
  options.onStart(startedAtMs);
  const pending = new Set<Promise<void>>();
  const progress = setInterval(() => {
    options.onProgress(progressOf(records, { atMs: performance.now() - startMs, inFlight: pending.size }));
  }, PROGRESS_EVERY_MS);
  try {
    await eachOnTime(options.arrivals, startMs, options.signal, (arrival, index) => {
      lateMs.push(performance.now() - startMs - arrival.atMs);
      const key = isWrite(arrival.kind) ? `${options.keyPrefix}-${index}` : "";
      const done = send(arrival, { connections, key, known, startMs }).then((record) => {
        records.push(record);
        pending.delete(done);
      });
      pending.add(done);
    });
    await Promise.all(pending);
  } finally {
    clearInterval(progress);
    connections.close();
  }
  const cpu = process.cpuUsage(cpuBefore);
  const tookMs = performance.now() - startMs;
  lateMs.sort((a, b) => a - b);
  records.sort((a, b) => a.atMs - b.atMs);
  return {
    startedAtMs,
    records,
    lateP99Ms: percentile(lateMs, 0.99),
    cpuCores: (cpu.user + cpu.system) / 1000 / tookMs,
  };
}

/** Calls `send` for each arrival at its time; after a late wake-up for all that are due. */
async function eachOnTime(
  arrivals: readonly Arrival[],
  startMs: number,
  signal: AbortSignal,
  send: (arrival: Arrival, index: number) => void,
): Promise<void> {
  for (let next = 0; next < arrivals.length && !signal.aborted; ) {
    const nowMs = performance.now() - startMs;
    while (next < arrivals.length && arrivals[next]!.atMs <= nowMs) {
      send(arrivals[next]!, next);
      next += 1;
    }
    if (next < arrivals.length)
      await new Promise((resolve) => setTimeout(resolve, arrivals[next]!.atMs - nowMs));
  }
}

type SendContext = {
  readonly connections: ConnectionPool;
  readonly key: string;
  readonly known: Known;
  readonly startMs: number;
};

type Planned = {
  readonly path: string;
  readonly body: string;
  isStale(status: number, answer: string): boolean;
};

async function send(arrival: Arrival, context: SendContext): Promise<RequestRecord> {
  const planned = plan(arrival, context.known);
  const { status, body, header: instance } = await exchange(planned, context);
  if (status === 201 && arrival.kind === "order") remember(context.known, body);
  return {
    atMs: arrival.atMs,
    kind: arrival.kind,
    key: context.key,
    status,
    latencyMs: performance.now() - context.startMs - arrival.atMs,
    instance,
    stale: planned.isStale(status, body),
  };
}

const never = () => false;

function plan({ kind, choice }: Arrival, known: Known): Planned {
  const product = 1 + Math.floor(PRODUCTS * choice ** POPULARITY);
  const body = JSON.stringify({ product, quantity: 1 });
  switch (kind) {
    case "order":
      return { path: "/orders", body, isStale: never };
    case "view":
      return { path: "/views", body, isStale: never };
    case "list":
      return { path: `/products?after=${product}`, body: "", isStale: never };
    case "order-read": {
      const order = known.recentOrders[Math.floor(choice * known.recentOrders.length)];
      if (order === undefined) return readProduct(product, known);
      return { path: `/orders/${order}`, body: "", isStale: (status) => status === 404 };
    }
    case "product":
      return readProduct(product, known);
  }
}

function readProduct(product: number, known: Known): Planned {
  const atLeast = known.ordersOf.get(product) ?? 0;
  const isStale = (status: number, answer: string) =>
    atLeast > 0 && status === 200 && (JSON.parse(answer) as { orders: number }).orders < atLeast;
  return { path: `/products/${product}`, body: "", isStale };
}

function remember(known: Known, body: string): void {
  const { order, product, orders } = JSON.parse(body) as { order: number; product: number; orders: number };
  known.ordersOf.set(product, Math.max(orders, known.ordersOf.get(product) ?? 0));
  known.recentOrders.push(order);
  if (known.recentOrders.length > RECENT_ORDERS) known.recentOrders.shift();
}

function exchange({ path, body }: Planned, { connections, key }: SendContext): Promise<Exchanged> {
  if (key === "") return connections.exchange({ method: "GET", path, headers: "", body }, TIMEOUT_MS);
  const headers = `idempotency-key: ${key}\r\n`;
  return connections.exchange({ method: "POST", path, headers, body }, TIMEOUT_MS);
}

function progressOf(
  records: readonly RequestRecord[],
  { atMs, inFlight }: { atMs: number; inFlight: number },
): LoadProgress {
  const recent: RequestRecord[] = [];
  for (let index = records.length - 1; index >= 0; index -= 1) {
    const record = records[index]!;
    if (record.atMs + record.latencyMs < atMs - 1000) break;
    recent.push(record);
  }
  const latencies = recent.map((record) => record.latencyMs).sort((a, b) => a - b);
  return {
    atMs,
    sent: records.length + inFlight,
    failed: recent.filter(hasFailed).length,
    inFlight,
    ratePerSecond: recent.length,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
  };
}
