/** Recorded series through the command line: how good would the forecast have been? */

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { understudy } from "./run-cli.ts";

const STEPS = 1_200;
/** One column that repeats each 30 steps, and one that stands. */
const CSV = `time,requests,memory\n${Array.from({ length: STEPS }, (_, step) => {
  return `${1_600_000_000 + 10 * step},${100 + 50 * Math.sin((2 * Math.PI * step) / 30) + (step % 7)},500`;
}).join("\n")}\n`;

test("each column is a line: its period, its error beside the last value's, its overloads foreseen", async () => {
  const { code, out, err } = await understudy(["backtest", "-"], CSV);
  assert.equal(code, 0, err);
  const [head, requests, memory] = out.split("\n").map((line) => line.trim().split(/ {2,}/));
  const cell = (row: readonly string[], name: string) => row[head!.indexOf(name)];
  assert.deepEqual(
    [cell(requests!, "series"), cell(requests!, "steps")],
    ["standard input/requests", "1200"],
  );
  assert.equal(cell(requests!, "of"), "10 s");
  assert.notEqual(cell(requests!, "period"), "-");
  assert.ok(Number(cell(requests!, "error +5")) < 0.3, requests!.join(" "));
  assert.equal(cell(memory!, "period"), "-");
  assert.equal(cell(memory!, "events"), "0");
});

test("for programs it is one object, with what was asked for in it", async () => {
  const args = ["--column", "requests", "--horizons", "2,4", "--threshold", "140", "-o", "json"];
  const { code, out } = await understudy(["backtest", "-", ...args], CSV);
  assert.equal(code, 0);
  const { series } = JSON.parse(out);
  assert.equal(series.length, 1);
  assert.deepEqual(
    series[0].horizons.map(({ steps }: { steps: number }) => steps),
    [2, 4],
  );
  assert.equal(series[0].alarms.threshold, 140);
  assert.ok(series[0].alarms.events > 0);
});

test("a chart of each series is drawn, with the marks of its alarms", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "charts-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const { code } = await understudy(["backtest", "-", "--charts", folder], CSV);
  assert.equal(code, 0);
  const files = readdirSync(folder).toSorted();
  assert.deepEqual(files, ["01-standard-input-requests.svg", "02-standard-input-memory.svg"]);
  const chart = readFileSync(join(folder, files[0]!), "utf8");
  assert.match(chart, /^<svg [^>]+>[\s\S]+<\/svg>\n$/);
  assert.ok(!chart.includes("NaN"), "every number is one");
  assert.ok(chart.includes('fill="#dc2626"'), "alarms are marked");
});

test("an answer of Prometheus' range API is read as well", async () => {
  const values = Array.from({ length: 200 }, (_, step) => [1_600_000_000 + 15 * step, String(step % 10)]);
  const data = { resultType: "matrix", result: [{ metric: { __name__: "up", job: "web" }, values }] };
  const { code, out } = await understudy(["backtest", "-"], JSON.stringify({ status: "success", data }));
  assert.equal(code, 0);
  assert.match(out, /^standard input +200 +15 s /m);
});

test("what cannot be done is one sentence and exit code 2", async () => {
  const failing = [
    { args: ["backtest", "/nowhere.csv"], why: /cannot read \/nowhere\.csv/ },
    { args: ["backtest", "-", "--column", "disk"], why: /no column "disk"; it has requests, memory/ },
    { args: ["backtest", "-", "--horizons", "5,1"], why: /ascending/ },
    { args: ["backtest", "-", "--budget", "0.5"], why: /0\.001 to 0\.2/ },
    { args: ["backtest", "-", "--budget", "0"], why: /0\.001 to 0\.2/ },
    { args: ["backtest", "-", "--warm-up", "0"], why: /0\.05 to 0\.9/ },
  ];
  for (const { args, why } of failing) {
    const { code, err } = await understudy(args, CSV);
    assert.equal(code, 2, err);
    assert.match(err, why);
  }
  const garbage = await understudy(["backtest", "-"], "t,v\n0,1\n1,high\n");
  assert.deepEqual([garbage.code, /line 3: "high" is no number/.test(garbage.err)], [2, true]);
  const short = await understudy(["backtest", "-"], "t,v\n0,1\n1,2\n");
  assert.match(short.err, /v has 2 steps, at least 100 are needed/);
});
