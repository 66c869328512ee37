import assert from "node:assert/strict";
import { test } from "node:test";
import { BARRIERS_MAX, openBarriers } from "./barrier.ts";
import { exampleSpec } from "./example-spec.ts";
import { createWorld } from "./simulation/world.ts";

test("so many Barriers may wait at once, one more is sent away, and one that leaves makes room", async () => {
  const world = createWorld(exampleSpec);
  world.begin();
  world.run(2000);
  // Its end of the mirror is being opened: whoever asks now waits.
  const barriers = openBarriers({
    state: world.state,
    primary: () => undefined,
    onChange: () => () => undefined,
    over: new AbortController().signal,
  });
  const [leaving, staying] = [new AbortController(), new AbortController()];
  const outcomes: string[] = [];
  const ask = ({ signal }: AbortController) =>
    barriers({ instance: "app-1", epoch: 1, signal }).then(
      () => outcomes.push("done"),
      ({ code }: { code: string }) => outcomes.push(code),
    );
  const first = ask(leaving);
  const others = Array.from({ length: BARRIERS_MAX - 1 }, () => ask(staying));
  await ask(staying);
  assert.deepEqual(outcomes.splice(0), ["unavailable"]);
  leaving.abort();
  await first;
  assert.deepEqual(outcomes.splice(0), ["cancelled"]);
  const last = ask(staying);
  await ask(staying);
  assert.deepEqual(outcomes.splice(0), ["unavailable"], "its place was taken, and no other was free");
  staying.abort();
  await Promise.all([...others, last]);
  assert.equal(outcomes.splice(0).length, BARRIERS_MAX);
  await ask(leaving);
  assert.deepEqual(outcomes, ["cancelled"], "who has gone already is not waited for");
});
