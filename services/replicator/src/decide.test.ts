import assert from "node:assert/strict";
import { test } from "node:test";
import { scenarioTests } from "@understudy/testkit/scenario";
import { exampleSpec } from "./example-spec.ts";
import { mayWrite } from "./lease.ts";
import { createWorld } from "./simulation/world.ts";

/** From nothing to a primary and its shadows. */
const SETTLE_MS = 3000;
const SCENARIOS = new URL("./testdata/", import.meta.url).pathname;

scenarioTests(SCENARIOS, () => {
  const lines: string[] = [];
  let asked = 0;
  const world = createWorld(exampleSpec, (line) => void lines.push(line));
  return ({ command, args }) => {
    const name = args.instance ?? "";
    switch (command) {
      case "begin":
        world.begin();
        break;
      case "settle":
        world.begin();
        if (args.shadows) world.post({ kind: "scale-wanted", shadows: Number(args.shadows) });
        world.run(SETTLE_MS);
        lines.length = 0;
        break;
      case "run":
        world.run(Number(args.ms));
        break;
      case "kill":
        world.kill(name);
        break;
      case "isolate":
        world.isolate(name);
        break;
      case "lag":
        world.lag(name, args.on === "true");
        break;
      case "write":
        world.write();
        break;
      case "barrier":
        lines.push(world.barrier() ? "acknowledged" : "not yet");
        break;
      case "store":
        world.setStoreAway(args.away === "true");
        break;
      case "wipe-store":
        world.wipeStore();
        break;
      case "back-up-store":
        world.backUpStore();
        break;
      case "restore-store":
        world.restoreStore();
        break;
      case "recover-store":
        world.recoverStore(Number(args.epoch));
        break;
      case "crash":
        world.crash();
        break;
      case "scale":
        world.post({ kind: "scale-wanted", shadows: Number(args.shadows) });
        break;
      case "slow":
        world.slow(args.effect as "salvage", Number(args.ms));
        break;
      case "ask": {
        asked += 1;
        const request = { kind: args.for, target: name, instance: name, reason: "" };
        world.post({
          kind: "asked",
          id: asked,
          request: request as { kind: "promote"; target: string; reason: string },
        });
        break;
      }
      case "may-write":
        lines.push(String(mayWrite(world.state(), name, world.bootMs())));
        break;
      case "lease":
        lines.push(world.state().lease.held);
        break;
      default:
        throw new Error(`no such command: ${command}`);
    }
    return lines.splice(0).join("\n");
  };
});

test("a resource that serves settles: ticks alone change nothing but its lease", () => {
  const lines: string[] = [];
  const world = createWorld(exampleSpec, (line) => void lines.push(line));
  world.begin();
  world.run(3000);
  lines.length = 0;
  world.run(5000);
  assert.deepEqual(lines, []);
  assert.ok(mayWrite(world.state(), "app-1", world.bootMs()));
});
