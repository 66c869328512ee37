import assert from "node:assert/strict";
import { test } from "node:test";
import { decide } from "./decide.ts";
import type { Answer } from "./events.ts";
import { exampleSpec } from "./example-spec.ts";
import { newResource } from "./resource-state.ts";
import { WAITING_MIRRORS_MAX } from "./wishes.ts";

test("calls of Mirror wait for a primary within a bound: the oldest is sent away", () => {
  let state = newResource(exampleSpec, "host-a");
  const answers: { readonly id: number; readonly answer: Answer }[] = [];
  const mirror = (id: number) => {
    const { next, effects } = decide(
      state,
      { kind: "asked", id, request: { kind: "mirror" } },
      { nowMs: 0, bootMs: 0 },
    );
    state = next;
    for (const effect of effects) if (effect.kind === "answer") answers.push(effect);
  };
  for (let id = 1; id <= WAITING_MIRRORS_MAX; id += 1) mirror(id);
  assert.equal(answers.length, 0);
  mirror(WAITING_MIRRORS_MAX + 1);
  mirror(WAITING_MIRRORS_MAX + 2);
  assert.deepEqual(
    answers.map(({ id, answer }) => [id, answer.done]),
    [
      [1, false],
      [2, false],
    ],
  );
  assert.equal(state.waitingForPrimary.length, WAITING_MIRRORS_MAX);
});
