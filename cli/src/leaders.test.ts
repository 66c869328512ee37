import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ResourceStatusSchema } from "@understudy/wire/gen/control";
import { newest } from "./leaders.ts";

const status = (resource: string, epoch: number, lease: string) =>
  create(ResourceStatusSchema, { roles: { header: { resource }, epoch: BigInt(epoch) }, lease });

test("of what several replicators say of a resource the newest epoch counts, in whichever order", () => {
  const [before, now, other] = [
    status("catalog", 1, "not held"),
    status("catalog", 2, "held"),
    status("shop", 4, "held"),
  ];
  assert.deepEqual(newest([[before, other], [now]]), [now, other]);
  assert.deepEqual(newest([[now], [before]]), [now]);
});

test("a replicator that knows no roles yet says nothing while another does", () => {
  const blank = create(ResourceStatusSchema, { lease: "not held" });
  const now = status("catalog", 2, "held");
  assert.deepEqual(newest([[blank], [now]]), [now]);
  assert.deepEqual(newest([[blank]]), [blank]);
});
