import assert from "node:assert/strict";
import { test } from "node:test";
import { ReplicationControl } from "@understudy/wire/gen/control";
import { admit, type Method } from "./callers.ts";

const METHODS = Object.keys(ReplicationControl.method) as Method[];
const READ: readonly Method[] = ["status", "watch"];
const ALLOWED: Readonly<Record<string, readonly Method[]>> = {
  cli: METHODS.filter((method) => method !== "barrier"),
  balancer: READ,
  health: READ,
  "app-catalog": ["barrier"],
  collector: [],
  predictor: [],
  replicator: [],
  "app-other": [],
  catalog: [],
  "": [],
};

for (const [peer, allowed] of Object.entries(ALLOWED)) {
  test(`"${peer}" may call ${allowed.join(", ") || "nothing"}`, () => {
    for (const method of METHODS) {
      const call = () => admit(method, { peer, resource: "catalog" });
      if (allowed.includes(method)) assert.doesNotThrow(call, method);
      else assert.throws(call, { code: "permission-denied" }, method);
    }
  });
}

test("a refusal says who may", () => {
  assert.throws(() => admit("promote", { peer: "collector", resource: "catalog" }), {
    message: '"collector" may not call promote: only cli may',
  });
});
