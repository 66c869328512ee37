/** A recording through the command line, as people do it: what would have been decided under another policy? */

import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toJson, toJsonString } from "@bufbuild/protobuf";
import { recordBurst } from "@understudy/balancer/fixture-recording";
import { ExplainResponseSchema } from "@understudy/wire/gen/control";
import { WeightDecisionSchema } from "@understudy/wire/gen/weight";
import { understudy } from "./run-cli.ts";

const WEIGHTS = recordBurst();
const ANSWER = `${toJsonString(ExplainResponseSchema, create(ExplainResponseSchema, { weights: WEIGHTS }))}\n`;

function replay(input: string, ...options: readonly string[]) {
  return understudy(["replay", "-", ...options], input);
}

test("what another policy would have decided is shown beside what was decided, each with its reason", async () => {
  const { code, out } = await replay(ANSWER, "--policy", "reactive");
  assert.equal(code, 0);
  const sections = out.trimEnd().split("\n\n");
  assert.equal(
    sections[0],
    `2026-09-21T14:13:22.000Z  catalog, revision 2, epoch 1
  INSTANCE  RECORDED  REPLAYED
  c-1       44.4 %    100.0 %
  c-2       55.6 %    0.0 %
  recorded because 300 requests/s foreseen (quantile 0.95), the primary carries 170: 56 % of the reads to 1 shadow, all loaded alike [predictive]
  replayed because 100 requests/s are here: fit the primary (170 requests/s), all reads stay there [reactive]`,
  );
  assert.match(sections.at(-1)!, /^\d+ decisions made again under policy=reactive: 3 differ$/);
});

test("for programs it is one object; one decision a line, as it is on the bus, is read too", async () => {
  const lines = WEIGHTS.map((weights) => toJsonString(WeightDecisionSchema, weights)).join("\n");
  const { code, out } = await replay(lines, "--max-shadow-share", "0.1", "-o", "json");
  assert.equal(code, 0);
  const found = JSON.parse(out);
  assert.deepEqual(
    [found.replayed, found.reproduced, found.settings],
    [WEIGHTS.length, WEIGHTS.length, { maxShadowShare: 0.1 }],
  );
  assert.deepEqual(found.differing.at(-1).replayed.readPpm, { "c-1": 900_000, "c-2": 100_000 });
});

test("under its own settings a recording comes out as it was", async () => {
  const { out } = await replay(ANSWER);
  assert.match(out, /^\d+ decisions made again under the settings they were made with: 0 differ\n$/);
});

test("decisions of another version are not passed off as this one's", async () => {
  const [first] = WEIGHTS;
  const forged = { ...(toJson(WeightDecisionSchema, first!) as object), shares: [{ instance: "c-1" }] };
  const { out } = await replay(JSON.stringify(forged));
  assert.match(out, /1 do not come out as recorded even under their own settings/);
});

test("what is no recording is refused with its line, and 2", async () => {
  const bare = toJsonString(WeightDecisionSchema, { ...WEIGHTS[0]!, inputs: undefined } as never);
  const refused = await Promise.all([
    replay(`${ANSWER}nonsense\n`),
    replay("{}"),
    replay(bare),
    replay(ANSWER.replaceAll('"predictive"', '"magic"')),
    replay(ANSWER, "--quantile", "95"),
  ]);
  assert.deepEqual(
    refused.map(({ code, out }) => [code, out]),
    refused.map(() => [2, ""]),
  );
  const [nonsense, empty, without, magic, quantile] = refused.map(({ err }) => err);
  assert.match(nonsense!, /^understudy: standard input:2: no recorded decision: .*\n$/);
  assert.equal(empty, "understudy: standard input holds no decisions about shares\n");
  assert.match(without!, /1 of 1 decisions were recorded without what they were made from/);
  assert.match(magic!, /standard input:1: no recorded decision: unknown policy "magic"/);
  assert.match(quantile!, /a number from 0 to 1/);
});
