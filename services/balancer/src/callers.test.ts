import assert from "node:assert/strict";
import { test } from "node:test";
import { TrafficControl } from "@understudy/wire/gen/control";
import { admit, type Method } from "./callers.ts";

const METHODS = Object.keys(TrafficControl.method) as Method[];

test("only the command line moves traffic by hand, or asks why it moved", () => {
  for (const method of METHODS) {
    assert.doesNotThrow(() => admit(method, { peer: "cli", resource: "catalog" }), method);
    for (const peer of ["collector", "predictor", "health", "replicator", "app-catalog", "balancer", ""])
      assert.throws(() => admit(method, { peer, resource: "catalog" }), { code: "permission-denied" });
  }
});
