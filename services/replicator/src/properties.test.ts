import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { exampleSpec } from "./example-spec.ts";
import { reigning } from "./resource-state.ts";
import { createWorld, type World } from "./simulation/world.ts";

const instance = fc.constantFrom("app-1", "app-2", "app-3", "app-4");
const fault = fc.oneof(
  fc.record({ do: fc.constant("kill" as const), instance }),
  fc.record({ do: fc.constant("isolate" as const), instance }),
  fc.record({ do: fc.constant("lag" as const), instance, on: fc.boolean() }),
  fc.record({ do: fc.constant("store" as const), away: fc.boolean() }),
  fc.record({ do: fc.constant("back-up-store" as const) }),
  fc.record({ do: fc.constant("restore-store" as const) }),
  fc.record({ do: fc.constant("crash" as const) }),
  fc.record({ do: fc.constant("begin" as const) }),
  fc.record({ do: fc.constant("scale" as const), shadows: fc.integer({ min: 0, max: 4 }) }),
  fc.record({ do: fc.constant("switchover" as const) }),
  fc.record({ do: fc.constant("write" as const) }),
  fc.record({ do: fc.constant("barrier" as const) }),
  fc.record({
    do: fc.constant("slow" as const),
    effect: fc.constantFrom("commit", "claim", "promote", "set-in-sync"),
    ms: fc.integer({ min: 1, max: 300 }),
  }),
  fc.record({ do: fc.constant("run" as const), ms: fc.constantFrom(5, 10, 20, 50, 200, 1000, 4000) }),
);
type Fault = typeof fault extends fc.Arbitrary<infer T> ? T : never;

/** Somebody is at hand who does what the status says. */
const HEALS_WITHIN_S = 16;

type Up = { up: boolean; asked: number };

function apply(world: World, move: Fault, shell: Up): void {
  switch (move.do) {
    case "kill":
      world.kill(move.instance);
      break;
    case "isolate":
      world.isolate(move.instance);
      break;
    case "lag":
      world.lag(move.instance, move.on);
      break;
    case "store":
      world.setStoreAway(move.away);
      break;
    case "back-up-store":
      world.backUpStore();
      break;
    case "restore-store":
      world.restoreStore();
      break;
    case "crash":
      shell.up = false;
      world.crash();
      break;
    case "begin":
      if (!shell.up) world.begin();
      shell.up = true;
      break;
    case "scale":
      if (shell.up) world.post({ kind: "scale-wanted", shadows: move.shadows });
      break;
    case "switchover":
      shell.asked += 1;
      if (shell.up)
        world.post({ kind: "asked", id: shell.asked, request: { kind: "switchover", target: "" } });
      break;
    case "write":
      world.write();
      break;
    case "barrier":
      world.barrier();
      break;
    case "slow":
      world.slow(move.effect as "commit", move.ms);
      break;
    case "run":
      world.run(move.ms);
      break;
  }
}

/** The world itself throws on two writers, a promoted outsider, an epoch that goes back and a lost acknowledged write. */
test("whatever fails in whatever order, it stays safe, and heals once faults end", () => {
  fc.assert(
    fc.property(fc.array(fault, { maxLength: 40 }), (faults) => {
      const world = createWorld(exampleSpec);
      const shell: Up = { up: true, asked: 0 };
      world.begin();
      world.run(2000);
      for (const move of faults) apply(world, move, shell);
      heal(world, shell);
      const { authority } = world.state();
      const primary = reigning(world.state());
      assert.ok(primary, "nobody reigns");
      assert.equal(primary.stage.at, "serving");
      assert.ok((authority?.inSync.length ?? 0) >= exampleSpec.shadows.min, "no shadow is in sync");
      assert.deepEqual(world.store().primary, authority?.primary);
      world.write();
      world.run(200);
      assert.ok(world.barrier(), "a Barrier is not acknowledged");
    }),
    { numRuns: Number(process.env.UNDERSTUDY_PROPERTY_RUNS ?? 100) },
  );
});

function heal(world: World, shell: Up): void {
  world.setStoreAway(false);
  world.slow("commit", undefined);
  if (!shell.up) world.begin();
  for (const each of world.processes()) each.fenceable = true;
  for (const name of ["app-1", "app-2", "app-3", "app-4"]) world.lag(name, false);
  for (let second = 0; second < HEALS_WITHIN_S; second += 1) {
    const { store, highestEpoch } = world.state();
    if (store.phase === "lost") world.recoverStore(highestEpoch);
    world.run(1000);
  }
}
