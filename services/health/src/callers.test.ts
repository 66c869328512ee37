import assert from "node:assert/strict";
import { test } from "node:test";
import { admit, type Method } from "./callers.ts";

const ALLOWED: Readonly<Record<string, readonly Method[]>> = {
  cli: ["watch", "announce"],
  replicator: ["watch", "announce"],
  balancer: ["watch"],
  collector: [],
  predictor: [],
  "app-catalog": [],
  "": [],
};

test("verdicts go to those who act on them; silence is announced by who freezes, and by hand", () => {
  for (const [peer, allowed] of Object.entries(ALLOWED)) {
    for (const method of ["watch", "announce"] as const) {
      const call = () => admit(method, { peer, resource: "catalog" });
      if (allowed.includes(method)) assert.doesNotThrow(call, `${peer} ${method}`);
      else assert.throws(call, { code: "permission-denied" }, `${peer} ${method}`);
    }
  }
});
