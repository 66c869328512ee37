/** HTTP in, an answer out. Health and metrics never wait for a worker: a full queue is no sickness. */

import type { IncomingMessage } from "node:http";
import type { CatalogReader, StoredAnswer } from "./database.ts";
import { type CatalogCounters, renderMetrics } from "./metrics.ts";
import type { SearchIndex } from "./search.ts";
import type { Workers } from "./workers.ts";
import { type Answer, problem, type Writes } from "./writes.ts";

const BODY_BYTES_MAX = 16 * 1024;
const KEY_LENGTH_MAX = 128;
const QUANTITY_MAX = 1000;

export type Catalog = {
  readonly reader: CatalogReader;
  readonly index: SearchIndex;
  readonly writes: Writes;
  readonly workers: Workers;
  readonly counters: CatalogCounters;
  readonly nowMs: () => number;
};

type Read = (catalog: Catalog, match: RegExpExecArray, query: URLSearchParams) => unknown;

/** Each returns undefined when there is no such thing. */
const READS: readonly (readonly [RegExp, Read])[] = [
  [/^\/products\/(\d{1,15})$/, ({ reader }, match) => reader.product(Number(match[1]))],
  [/^\/products$/, (catalog, _, query) => listProducts(catalog, query)],
  [/^\/orders\/(\d{1,15})$/, ({ reader }, match) => reader.order(Number(match[1]))],
  [/^\/idempotency-keys$/, ({ reader }, _, query) => reader.keys(Number(query.get("after")) || 0)],
];

function listProducts({ reader, index }: Catalog, query: URLSearchParams): unknown {
  const word = query.get("q");
  if (word === null) return reader.products(Number(query.get("after")) || 0);
  return index.find(word).map((id) => reader.product(id));
}

/** `catalog` is undefined until the service has started. */
export async function answerTo(request: IncomingMessage, catalog: Catalog | undefined): Promise<Answer> {
  const url = new URL(request.url ?? "/", "http://catalog");
  if (!catalog) return problem(503, "starting");
  if (url.pathname === "/healthz") return { status: 200, body: '{"status":"ok"}' };
  if (url.pathname === "/metrics") return metricsAnswer(catalog);
  if (request.method === "GET" || request.method === "HEAD") return answerRead(request, catalog, url);
  if (request.method === "POST") return answerWrite(request, catalog, url.pathname);
  return problem(405, `${request.method} is not served here`);
}

function metricsAnswer({ counters, workers }: Catalog): Answer {
  const body = renderMetrics(counters, {
    busy: workers.busy(),
    size: workers.size,
    queued: workers.queued(),
  });
  return { status: 200, body, headers: { "content-type": "text/plain; version=0.0.4" } };
}

async function answerRead(request: IncomingMessage, catalog: Catalog, url: URL): Promise<Answer> {
  for (const [path, read] of READS) {
    const match = path.exec(url.pathname);
    if (!match) continue;
    const ran = await catalog.workers.run(
      () => read(catalog, match, url.searchParams),
      () => !request.socket.destroyed,
    );
    if (!ran.ran) return refuse(catalog, problem(503, "the queue is full"));
    catalog.counters.reads += 1;
    return ran.value === undefined
      ? problem(404, "not found")
      : { status: 200, body: JSON.stringify(ran.value) };
  }
  return problem(404, `nothing at ${url.pathname}`);
}

async function answerWrite(request: IncomingMessage, catalog: Catalog, path: string): Promise<Answer> {
  const critical = path === "/orders";
  if (!critical && path !== "/views") return problem(404, `nothing at ${path}`);
  const body = await readBody(request);
  const parsed =
    body === undefined ? { mistake: `a body of at most ${BODY_BYTES_MAX} bytes` } : parseWrite(request, body);
  if ("mistake" in parsed) return refuse(catalog, problem(400, `wanted: ${parsed.mistake}`));
  const { key, product, quantity } = parsed;
  catalog.counters.requestBytes += body!.length;
  const answer = await catalog.writes.execute({
    critical,
    wanted: () => !request.socket.destroyed,
    write: (writer): StoredAnswer =>
      critical
        ? writer.createOrder({ key, product, quantity, atMs: catalog.nowMs() })
        : writer.createView({ key, product }),
  });
  if (answer.status >= 400) return refuse(catalog, answer);
  catalog.counters.writes += 1;
  return answer;
}

function refuse(catalog: Catalog, answer: Answer): Answer {
  catalog.counters.refused += 1;
  return answer;
}

type ParsedWrite = { readonly key: string; readonly product: number; readonly quantity: number };

function parseWrite(request: IncomingMessage, body: string): ParsedWrite | { readonly mistake: string } {
  const key = request.headers["idempotency-key"];
  if (typeof key !== "string" || key === "" || key.length > KEY_LENGTH_MAX) {
    return { mistake: `an Idempotency-Key of 1 to ${KEY_LENGTH_MAX} characters` };
  }
  let json: { product?: unknown; quantity?: unknown } | null;
  try {
    json = JSON.parse(body) as typeof json;
  } catch {
    return { mistake: "a JSON body" };
  }
  const { product, quantity = 1 } = json ?? {};
  if (!Number.isSafeInteger(product)) return { mistake: "the id of a product" };
  if (!Number.isInteger(quantity) || Number(quantity) < 1 || Number(quantity) > QUANTITY_MAX) {
    return { mistake: `a quantity of 1 to ${QUANTITY_MAX}` };
  }
  return { key, product: Number(product), quantity: Number(quantity) };
}

/** Undefined when it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
