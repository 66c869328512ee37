import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parsePrometheus, parsePrometheusRows } from "./prometheus.ts";

/** The same cases in each run: a failure is one that somebody can look at. */
fc.configureGlobal({ seed: 1 });

const answer = (result: unknown, resultType = "matrix") =>
  JSON.stringify({ status: "success", data: { resultType, result } });

test("each series of a range query is one, named as Prometheus does, with what is no number left out", () => {
  const [requests, total] = parsePrometheus(
    answer([
      {
        metric: { __name__: "requests", job: "web", instance: "a" },
        values: [
          [1_600_000_000, "1"],
          [1_600_000_015, "NaN"],
          [1_600_000_045, "4.5"],
        ],
      },
      {
        metric: {},
        values: [
          [1_600_000_000.5, "+Inf"],
          [1_600_000_001.5, "2"],
        ],
      },
    ]),
  );
  assert.equal(requests?.name, 'requests{job="web",instance="a"}');
  assert.deepEqual([requests?.stepMs, requests?.startMs], [30_000, 1_600_000_000_000]);
  assert.equal(requests!.values.at(-1), 4.5);
  assert.deepEqual([total?.name, total?.stepMs, [...total!.values]], ["value", 1_000, [Number.NaN, 2]]);
});

test("rows keep their times, holes and all; an empty answer has none", () => {
  const values = [
    [1_600_000_000, "1"],
    [1_600_090_000.5, "2"],
  ];
  const [only] = parsePrometheusRows(answer([{ metric: { __name__: "up" }, values }]));
  assert.deepEqual(only, {
    name: "up",
    rows: [
      { atMs: 1_600_000_000_000, values: [1] },
      { atMs: 1_600_090_000_500, values: [2] },
    ],
  });
  assert.deepEqual(parsePrometheusRows(answer([])), []);
});

test("what is no such answer says why", () => {
  const refused = [
    ["{", /not JSON/],
    ["7", /not an answer/],
    ['{"status":"error","error":"bad query"}', /bad query/],
    [answer([], "vector"), /wanted "matrix": ask query_range/],
    [answer([]), /matched nothing/],
    [answer([{ metric: {}, values: [[1, 2]] }]), /\[1,2\] is not a time and a value/],
    [answer([{ metric: { __name__: "up" }, values: [[1, "2"]] }]), /up: fewer than two rows/],
  ] as const;
  for (const [text, why] of refused) assert.throws(() => parsePrometheus(text), why);
});

test("any JSON is either series or one RangeError", () => {
  fc.assert(
    fc.property(fc.json(), fc.json(), (data, result) => {
      for (const text of [data, `{"status":"success","data":{"resultType":"matrix","result":[${result}]}}`]) {
        try {
          parsePrometheus(text);
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error));
        }
      }
    }),
  );
});
