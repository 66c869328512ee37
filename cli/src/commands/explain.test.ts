import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ExplainResponseSchema } from "@understudy/wire/gen/control";
import { headerToWire } from "@understudy/wire/header";
import { parseCount, renderExplanation } from "./explain.ts";

const header = headerToWire({ resource: "catalog", time: { wallMs: 0, counter: 0 }, source: "balancer" });

test("a decision is shown with its shares, the rule that bound, its inputs and alternatives", () => {
  const found = create(ExplainResponseSchema, {
    weights: [
      {
        header,
        revision: 4n,
        epoch: 2n,
        traceId: "abc",
        shares: [
          { instance: "catalog-1", readPpm: 600_000, limitedBy: "" },
          { instance: "catalog-2", readPpm: 400_000, limitedBy: "slow start" },
        ],
        reason: {
          rule: "predictive",
          text: "620 requests/s are expected in 2 s",
          inputs: { demandRps: 620, capacityRps: 170.123456 },
          alternatives: [{ rule: "reactive", value: 0.25 }],
          unshiftableRps: 12,
        },
      },
    ],
    scales: [
      { header, wantedShadows: 3, presentShadows: 1, reason: { rule: "predictive", text: "a burst comes" } },
    ],
  });
  assert.equal(
    renderExplanation("catalog", found),
    `1970-01-01T00:00:00.000Z  shares, revision 4, epoch 2
  catalog-1             60.0 % of the reads
  catalog-2             40.0 % of the reads (slow start)
  because 620 requests/s are expected in 2 s [predictive]
  inputs       demandRps=620  capacityRps=170.1
  alternatives reactive=0.2500
  unshiftable  12 requests/s fit nowhere
  trace abc

1970-01-01T00:00:00.000Z  shadows: 3 wanted, 1 present
  because a burst comes [predictive]`,
  );
});

test("before the first decision it says so", () => {
  assert.equal(
    renderExplanation("catalog", create(ExplainResponseSchema)),
    "nothing was decided about catalog yet",
  );
});

test("more decisions than the balancer keeps are refused, not quietly left out", () => {
  assert.equal(parseCount("100"), 100);
  assert.throws(() => parseCount("101"), /from 1 to 100: the balancer keeps no more/);
});
