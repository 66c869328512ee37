import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ResourceStatusSchema } from "@understudy/wire/gen/control";
import { ReplicationPhase, ReplicationStateSchema } from "@understudy/wire/gen/replication";
import { InstancePhase, InstanceSchema, RoleChangedSchema } from "@understudy/wire/gen/role";
import { copyText, waitingFor } from "./wait-for-copies.ts";

const copying = create(ReplicationStateSchema, {
  instance: "catalog-2",
  phase: ReplicationPhase.SEEDING,
  seedDoneBytes: 430_000_000n,
  seedTotalBytes: 1_000_000_000n,
  seedRate: 80_000_000,
  seedEtaMs: 7_125,
});

function status(options: { primary: string; inSync?: string[]; phase?: InstancePhase }) {
  const instances = ["catalog-1", "catalog-2"].map((name) =>
    create(InstanceSchema, { name, phase: options.phase ?? InstancePhase.SEEDING }),
  );
  const roles = create(RoleChangedSchema, {
    header: { resource: "catalog" },
    primary: options.primary,
    instances,
  });
  return create(ResourceStatusSchema, { roles, states: [copying], inSync: options.inSync ?? [] });
}

test("a copy says how far it is, how fast it goes and how long it takes yet", () => {
  assert.equal(copyText(copying), "43 % of 1.00 GB, 80.0 MB/s, 8 s left");
  const unknown = create(ReplicationStateSchema, { phase: ReplicationPhase.SEEDING });
  assert.equal(copyText(unknown), "0 % of 0 B");
});

test("waits for a primary, for a shadow and for it to be in sync, and not for one that is let go", () => {
  assert.deepEqual(waitingFor(create(ResourceStatusSchema, {})), ["no roles are known yet"]);
  assert.deepEqual(waitingFor(status({ primary: "" })), ["catalog has no primary"]);
  assert.match(waitingFor(status({ primary: "catalog-1" }))[0]!, /^catalog-2: 43 %/);
  assert.deepEqual(waitingFor(status({ primary: "catalog-1", inSync: ["catalog-2"] })), []);
  const leaving = status({ primary: "catalog-1", phase: InstancePhase.DRAINING });
  assert.deepEqual(waitingFor(leaving), ["catalog has no shadow yet"]);
});
