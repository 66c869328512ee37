import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromJson, toJson } from "@bufbuild/protobuf";
import { recordBurst } from "@understudy/balancer/fixture-recording";
import { ExplainResponseSchema } from "@understudy/wire/gen/control";
import { VerdictState } from "@understudy/wire/gen/health";
import { LinkForecastSchema } from "@understudy/wire/gen/link";
import { headerToWire } from "@understudy/wire/header";
import { parseCount, renderExplanation } from "./explain.ts";

const header = headerToWire({ resource: "catalog", time: { wallMs: 0, counter: 0 }, source: "balancer" });

test("a decision is shown with its shares, the rule that bound, and what it was made from", () => {
  const [decision] = recordBurst().filter(({ revision }) => revision === 2n);
  const found = create(ExplainResponseSchema, {
    weights: [{ ...decision!, traceId: "abc" }],
    scales: [
      { header, wantedShadows: 3, presentShadows: 1, reason: { rule: "predictive", text: "a burst comes" } },
    ],
  });
  assert.equal(
    renderExplanation("catalog", found),
    `2026-09-21T14:13:22.000Z  shares, revision 2, epoch 1
  INSTANCE  READS   CARRIES  ROLE     PHASE    HEALTH  LAG   LIMITED BY
  c-1       44.4 %  170/s    primary  serving  -       -     -
  c-2       55.6 %  170/s    shadow   serving  -       5 ms  -
  because 300 requests/s foreseen (quantile 0.95), the primary carries 170: 56 % of the reads to 1 shadow, all loaded alike [predictive]
  numbers      demandRps=300  currentRps=100  forecastRps=300  leadMs=1000  quantile=0.9500  movablePart=0.9000  instanceRps=170  primaryRps=170  shadowsRps=170  maxShadowShare=0.9000
  alternatives needed=0.4815  alike=0.5556
  demand       100 requests/s here, 90 % of it movable
  forecast     quantile 0.95: 300 in 1 s (heard 0 ms before)
  held         100 requests/s before, reads at the primary
  settings     policy=predictive  quantile=0.95  capacityTarget=0.85  maxShadowShare=0.9  maxStalenessMs=2000  onlyStale=refuse  warmUpMs=2000
  trace        abc

1970-01-01T00:00:00.000Z  shadows: 3 wanted, 1 present
  because a burst comes [predictive]`,
  );
});

test("who is limited is shown with why, and a cold one with how long it takes to be warm", () => {
  const decision = recordBurst().at(-1)!;
  const { instances, decidedAtMs } = decision.inputs!;
  decision.shares[1]!.limitedBy = "slow start";
  decision.inputs!.control = "paused";
  instances[1]!.instance!.readyAtMs = BigInt(decidedAtMs - 800);
  instances[1]!.verdict = VerdictState.SUSPECT;
  const text = renderExplanation("catalog", create(ExplainResponseSchema, { weights: [decision] }));
  assert.match(text, /c-2 .* suspect .* slow start, 1\.2 s to go\n/);
  assert.match(text, /\n {2}control {6}paused/);
});

test("a link that made the lead time longer is shown with what is expected of it", () => {
  const decision = recordBurst().at(-1)!;
  decision.inputs!.forecast!.links = [
    create(LinkForecastSchema, {
      fromHost: "host-a",
      toHost: "host-b",
      quantileLevels: [0.5, 0.95],
      horizons: [{ aheadMs: 1_000, roundTripMs: [80, 123.4], loss: [0, 0.05] }],
      seedMs: 9_040,
    }),
  ];
  assert.match(
    renderExplanation("catalog", create(ExplainResponseSchema, { weights: [decision] })),
    /\n {2}link {9}host-a to host-b, quantile 0\.95: round trip 123 ms, 5 % lost, a first copy 9\.0 s\n/,
  );
});

test("a decision without what it was made from, and one that fits nowhere, say what they can", () => {
  const found = create(ExplainResponseSchema, {
    weights: [
      {
        header,
        revision: 4n,
        epoch: 2n,
        shares: [{ instance: "catalog-1", readPpm: 600_000 }],
        reason: { rule: "predictive", text: "620 requests/s are expected", unshiftableRps: 12 },
      },
    ],
  });
  assert.equal(
    renderExplanation("catalog", found),
    `1970-01-01T00:00:00.000Z  shares, revision 4, epoch 2
  INSTANCE   READS   CARRIES  ROLE  PHASE  HEALTH  LAG  LIMITED BY
  catalog-1  60.0 %  -        -     -      -       -    -
  because 620 requests/s are expected [predictive]
  unshiftable  12 requests/s fit nowhere`,
  );
});

test("for programs a decision is whole", () => {
  const found = create(ExplainResponseSchema, { weights: recordBurst() });
  assert.deepEqual(fromJson(ExplainResponseSchema, toJson(ExplainResponseSchema, found)), found);
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
