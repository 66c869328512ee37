/** Recorded demand through the command line: what would the predictor start with? */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { before, type TestContext, test } from "node:test";
import { ensureStreams } from "@understudy/bus/jetstream";
import { accessOf } from "@understudy/testkit/cluster";
import { writeContext } from "@understudy/testkit/context";
import { processRun } from "@understudy/testkit/run";
import { startNats } from "@understudy/testkit/servers/nats";
import { understudy } from "./run-cli.ts";

const EXAMPLE = resolve(import.meta.dirname, "../../examples/understudy.yaml");
/** The step of the example's forecast. */
const STEP_MS = 500;
const PERIOD_MS = 30_000;
const UNTIL_MS = Math.floor(Date.now() / STEP_MS) * STEP_MS - 60_000;

const demandAt = (atMs: number): number => 100 + 50 * Math.sin((2 * Math.PI * atMs) / PERIOD_MS);

function csvOf({ minutes = 5, stepMs = STEP_MS, untilMs = UNTIL_MS } = {}): string {
  const count = (minutes * 60_000) / stepMs;
  const rows = Array.from({ length: count }, (_, index) => {
    const atMs = untilMs - (count - 1 - index) * stepMs;
    return `${atMs},${demandAt(atMs).toFixed(3)},7`;
  });
  return `time,requests,other\n${rows.join("\n")}\n`;
}

const CSV = csvOf();
const ARGS = ["train", "catalog", "-", "-f", EXAMPLE, "--column", "requests"];

function dataFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "train-cli-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test("it shows what was learnt, and writes nothing unless it is told where", async () => {
  const { code, out, err } = await understudy(ARGS, CSV);
  assert.equal(code, 0, err);
  assert.match(out, /^catalog: 600 samples, one each 500 ms, /);
  assert.match(out, /^ {2}period {4}30 s$/m);
  assert.match(out, /^ {2}error {5}0\.\d{3} of the last value's$/m);
  assert.match(out, /^ {2}coverage {2}0\.\d{3} of 0\.5, .* of 0\.99$/m);
  assert.match(out, /^ {2}holds {5}until \S+Z: a longer time without samples/m);
  assert.match(out, /\nnothing was written: .*--data\n$/);
});

test("told where, it writes it there, once; what is there is replaced only on demand", async (t) => {
  const data = dataFolder(t);
  const first = await understudy([...ARGS, "--data", data, "-o", "json"], CSV);
  assert.equal(first.code, 0, first.err);
  const said = JSON.parse(first.out);
  assert.equal(said.periodMs, PERIOD_MS);
  assert.equal(said.written, join(data, "learnt", "catalog.json"));
  assert.ok(existsSync(said.written));
  const again = await understudy([...ARGS, "--data", data], CSV);
  assert.equal(again.code, 2);
  assert.match(again.err, /a predictor has learnt of catalog itself, kept .* ago: --replace/);
  const replaced = await understudy([...ARGS, "--data", data, "--replace"], CSV);
  assert.equal(replaced.code, 0, replaced.err);
});

test("a predictor that runs is not written over", async (t) => {
  const data = dataFolder(t);
  mkdirSync(join(data, "in-use"));
  writeFileSync(join(data, "in-use", "predictor-0-of-1"), "1\n");
  const { code, err } = await understudy([...ARGS, "--data", data], CSV);
  assert.equal(code, 1);
  assert.match(err, /a predictor works with \S+ \(it said so .* ago\) .*: stop it first/);
  assert.ok(!existsSync(join(data, "learnt")));
});

test("several files are one history", async (t) => {
  const folder = dataFolder(t);
  const files = [0, 1].map((index) => {
    const file = join(folder, `${index}.csv`);
    writeFileSync(file, csvOf({ untilMs: UNTIL_MS - index * 300_000 }));
    return file;
  });
  const args = ["train", "catalog", ...files, "-f", EXAMPLE, "--column", "requests", "-o", "json"];
  const { code, out, err } = await understudy(args);
  assert.equal(code, 0, err);
  assert.equal(JSON.parse(out).samples, 1_200);
});

test("Prometheus is asked for steps of the forecast, in as many queries as it allows points", async (t) => {
  const asked: URLSearchParams[] = [];
  const url = await prometheus(t, (parameters) => {
    asked.push(parameters);
    const [start, end, step] = ["start", "end", "step"].map((name) => Number(parameters.get(name)));
    const values: [number, string][] = [];
    for (let at = start!; at <= end!; at += step!) values.push([at, String(demandAt(at * 1_000))]);
    return { status: "success", data: { resultType: "matrix", result: [{ metric: {}, values }] } };
  });
  const fromMs = UNTIL_MS - 3 * 3_600_000;
  const args = [
    "--prometheus",
    url,
    "--query",
    "sum(rate(x[1m]))",
    "--from",
    String(fromMs),
    "--to",
    String(UNTIL_MS),
  ];
  const { code, out, err } = await understudy(["train", "catalog", "-f", EXAMPLE, ...args, "-o", "json"]);
  assert.equal(code, 0, err);
  const { samples, everyMs, untilMs } = JSON.parse(out);
  assert.deepEqual([samples, everyMs, untilMs], [(3 * 3_600_000) / STEP_MS + 1, STEP_MS, UNTIL_MS]);
  assert.equal(asked.length, 3);
  assert.equal(asked[0]!.get("query"), "sum(rate(x[1m]))");
});

test("what Prometheus does not give is said in a sentence", async (t) => {
  const ask = async (answer: unknown) => {
    const url = await prometheus(t, () => answer);
    const args = ["--prometheus", url, "--query", "up", "--from", "2026-01-01"];
    return understudy(["train", "catalog", "-f", EXAMPLE, "--to", "2026-01-01T00:10:00Z", ...args]);
  };
  const matrix = (result: unknown) => ({ status: "success", data: { resultType: "matrix", result } });
  const two = ["a", "b"].map((job) => ({ metric: { __name__: "up", job }, values: [[1, "1"]] }));
  for (const [answer, why] of [
    [matrix([]), /up: it matched nothing in that range/],
    [matrix(two), /up: 2 series \(up\{job="a"\}, .*\), wanted one: ask for their sum/],
    [{ status: "error", error: "parse error" }, /Prometheus answered "parse error"/],
  ] as const) {
    const { code, err } = await ask(answer);
    assert.equal(code, 2, err);
    assert.match(err, why);
  }
  const nobody = ["--prometheus", "http://127.0.0.1:1", "--query", "up", "--from", "2026-01-01"];
  const away = await understudy(["train", "catalog", "-f", EXAMPLE, ...nobody, "--to", "2026-01-02"]);
  assert.equal(away.code, 1);
  assert.match(away.err, /Prometheus at http:\/\/127\.0\.0\.1:1 does not answer \(.*\): is it running\?/);
});

test("what cannot be learnt from is one sentence and exit code 2", async () => {
  const failing = [
    { args: ["train", "orders", "-", "-f", EXAMPLE], why: /no resource is named "orders"; .* has catalog/ },
    { args: ["train", "catalog", "-f", EXAMPLE], why: /nothing to learn from: name files, or --prometheus/ },
    { args: ["train", "catalog", "-", "-f", EXAMPLE], why: /with --column: requests, other/ },
    { args: [...ARGS, "--prometheus", "http://x"], why: /either files or --prometheus/ },
    { args: ["train", "catalog", "-f", EXAMPLE, "--prometheus", "x"], why: /"x" is no URL/ },
    {
      args: ["train", "catalog", "-f", EXAMPLE, "--prometheus", "http://x"],
      why: /needs --query and --from/,
    },
    { args: [...ARGS, "--from", "soon"], why: /seconds or milliseconds since 1970, or a date/ },
    { args: ARGS, csv: csvOf({ stepMs: 15_000 }), why: /each 15000 ms .* forecast\.stepMs to 15000/ },
    { args: ARGS, csv: csvOf({ minutes: 0.1 }), why: /12 samples are too few/ },
    {
      args: [...ARGS, "--data", "/nowhere"],
      csv: csvOf({ untilMs: UNTIL_MS - 24 * 3_600_000 }),
      why: /held until .* train with newer demand/,
    },
  ];
  for (const { args, csv = CSV, why } of failing) {
    const { code, err } = await understudy(args, csv);
    assert.equal(code, 2, err);
    assert.match(err, why);
  }
});

let context: string;

before(async () => {
  const nats = await startNats();
  await ensureStreams(accessOf(nats, "admin"));
  context = join(processRun().folder, "context.json");
  const nobody = "127.0.0.1:1";
  writeContext(context, {
    version: 1,
    nats: { url: nats.url, ...nats.credentials("cli") },
    tlsDir: "",
    grpc: { replicator: nobody, health: nobody, balancer: nobody },
    probes: {},
  });
});

test("without a file it takes the configuration in force", async () => {
  const args = ["train", "catalog", "-", "--column", "requests", "--context", context];
  const none = await understudy(args, CSV);
  assert.equal(none.code, 1);
  assert.match(none.err, /no configuration is in force: name a file with -f/);
  const applied = await understudy(["apply", "-f", EXAMPLE, "--context", context]);
  assert.equal(applied.code, 0, applied.err);
  const { code, out, err } = await understudy(args, CSV);
  assert.equal(code, 0, err);
  assert.match(out, /^catalog: 600 samples/);
});

/** A server that answers each range query with what `answer` says; its address. */
async function prometheus(t: TestContext, answer: (parameters: URLSearchParams) => unknown): Promise<string> {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, "http://here");
    assert.equal(pathname, "/api/v1/query_range");
    response.end(JSON.stringify(answer(searchParams)));
  });
  const { promise, resolve: listening } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", listening);
  await promise;
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
