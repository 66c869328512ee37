import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { LbAppliedSchema } from "@understudy/wire/gen/lb";
import { ScaleDecisionSchema, WeightDecisionSchema } from "@understudy/wire/gen/weight";
import { createHistory } from "./history.ts";

const decided = (revision: number, text: string, epoch = 1) =>
  create(WeightDecisionSchema, { revision: BigInt(revision), epoch: BigInt(epoch), reason: { text } });

test("of a decision the one that changed the plan is kept, and its newest repetition", () => {
  const history = createHistory();
  const all = [
    decided(1, "start"),
    decided(2, "a burst is foreseen"),
    decided(2, "held"),
    decided(2, "still held"),
    decided(2, "promoted", 2),
    decided(3, "over"),
  ];
  for (const one of all) history.addWeights("catalog", one);
  const texts = history.last("catalog", 10)!.weights.map(({ reason }) => reason!.text);
  assert.deepEqual(texts, ["start", "a burst is foreseen", "still held", "promoted", "over"]);
});

test("so it is with the wanted number; of what was applied only the newest is kept", () => {
  const history = createHistory();
  for (const presentShadows of [1, 2, 3]) {
    history.addScale("catalog", create(ScaleDecisionSchema, { revision: 1n, presentShadows }));
    history.addApplied("catalog", create(LbAppliedSchema, { revision: 1n, error: String(presentShadows) }));
  }
  const { scales, applied } = history.last("catalog", 10)!;
  assert.deepEqual(
    scales.map(({ presentShadows }) => presentShadows),
    [1, 3],
  );
  assert.deepEqual(
    applied.map(({ error }) => error),
    ["3"],
  );
});

test("the oldest go, and of a resource that nobody decided about there is nothing", () => {
  const history = createHistory();
  for (let revision = 1; revision <= 150; revision += 1) history.addWeights("catalog", decided(revision, ""));
  const { weights } = history.last("catalog", 1_000)!;
  assert.deepEqual([weights.length, weights[0]!.revision], [100, 51n]);
  assert.equal(history.last("other", 1), undefined);
});
