import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readSchema } from "./schema.ts";

const REPOSITORY = join(import.meta.dirname, "../../..");
const DESCRIPTORS = join(import.meta.dirname, "../understudy.binpb");

const schema = readSchema(DESCRIPTORS);

test("the committed descriptor set is the one that proto/ gives", () => {
  const buf = join(REPOSITORY, "node_modules/.bin/buf");
  const built = execFileSync(buf, ["build", "--exclude-source-info", "-o", "-#format=binpb"], {
    cwd: REPOSITORY,
  });
  assert.ok(built.equals(readFileSync(DESCRIPTORS)), "run `npm run proto --workspace examples/subscriber`");
});

test("every documented subject has its message", () => {
  const subjects =
    "metrics.h predictions.r health.r.i replication.r.i roles.r scale.r weights.r lb.p.commands lb.p.applied events.r rejects.s config";
  for (const subject of subjects.split(" ")) {
    assert.equal(schema.decode(`understudy.v1.${subject}`, new Uint8Array()).known, true, subject);
  }
});

test("what it does not know and what is broken is said, not thrown", () => {
  const nothing = new Uint8Array();
  assert.deepEqual(schema.decode("other.events.r", nothing), {
    known: false,
    why: "no message is known for other.events.r",
  });
  assert.equal(schema.decode("understudy.v1.lb.p.else", nothing).known, false);
  const broken = schema.decode("understudy.v1.events.r", Uint8Array.of(0xff, 0xff, 0xff));
  assert.match(broken.known ? "" : broken.why, /^not a Event: /);
});
