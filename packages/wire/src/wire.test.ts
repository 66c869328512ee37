import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Instance, Roles, Verdict } from "@understudy/model/instance";
import type { Position } from "@understudy/model/position";
import { PositionSchema } from "@understudy/wire/gen/header";
import { VerdictSchema } from "@understudy/wire/gen/health";
import { InstancePhase, InstanceSchema, type Role, RoleChangedSchema } from "@understudy/wire/gen/role";
import { positionFromWire, positionToWire } from "./header.ts";
import { rolesFromWire, rolesToWire, verdictFromWire, verdictToWire } from "./roles.ts";

const ABOUT = { time: { wallMs: 1_700_000_000_123, counter: 4 }, source: "test", reason: "why not" };

const INSTANCE: Instance = {
  name: "catalog-1",
  incarnation: "i1",
  host: "edge-a",
  role: "primary",
  phase: "serving",
  address: "127.0.0.1:1",
  gateAddress: "127.0.0.1:2",
  pid: 4,
  pidStartTicks: 123_456_789_012,
  requestedAtMs: 1_700_000_000_000,
  readyAtMs: 1_700_000_000_500,
};

describe("the domain's words survive the wire", () => {
  test("positions", () => {
    const position: Position = { epoch: 7, version: 2 ** 40, hlc: ABOUT.time, root: "ab".repeat(32) };
    assert.deepEqual(
      positionFromWire(fromBinary(PositionSchema, toBinary(PositionSchema, positionToWire(position)))),
      position,
    );
  });

  test("roles with their instances", () => {
    const roles: Roles = { resource: "catalog", epoch: 3, primary: "catalog-1", instances: [INSTANCE] };
    const wire = fromBinary(RoleChangedSchema, toBinary(RoleChangedSchema, rolesToWire(roles, ABOUT)));
    assert.deepEqual(rolesFromWire(wire), roles);
    assert.equal(wire.reason, "why not");
  });

  test("verdicts with their evidence", () => {
    const verdict: Verdict = {
      resource: "catalog",
      instance: "catalog-1",
      incarnation: "i1",
      state: "suspect",
      sinceMs: 1_700_000_000_000,
      evidence: [{ signal: "http", alive: false, detail: "no answer in 200 ms", ageMs: 12.5 }],
    };
    const wire = fromBinary(VerdictSchema, toBinary(VerdictSchema, verdictToWire(verdict, ABOUT)));
    assert.deepEqual(verdictFromWire(wire), verdict);
  });

  test("a word we do not know is refused by name", () => {
    const wire = rolesToWire({ resource: "r", epoch: 1, primary: "", instances: [] }, ABOUT);
    wire.instances.push(
      create(InstanceSchema, {
        name: "r-1",
        incarnation: "1",
        host: "h",
        role: 99 as Role,
        phase: InstancePhase.SERVING,
      }),
    );
    assert.throws(() => rolesFromWire(wire), /unknown role/);
  });
});

describe("a forged membership is refused", () => {
  const forged = (fields: Partial<Instance>) =>
    rolesToWire(
      { resource: "catalog", epoch: 1, primary: "", instances: [{ ...INSTANCE, ...fields }] },
      ABOUT,
    );
  const FORGERIES: readonly (readonly [Partial<Instance>, RegExp])[] = [
    [{ name: "../../etc" }, /instance .* is not a DNS label/],
    [{ host: "a b" }, /host .* is not a DNS label/],
    [{ incarnation: "../1" }, /bad incarnation/],
    [{ address: "nowhere" }, /bad address/],
    [{ address: "127.0.0.1:99999" }, /bad address/],
    [{ address: "127.0.0.1:0" }, /bad address/],
    [{ gateAddress: "user@10.0.0.1:80" }, /bad address/],
    [{ pidStartTicks: 2 ** 60 }, /bad start of a process/],
  ];
  for (const [fields, why] of FORGERIES) {
    test(JSON.stringify(fields), () => assert.throws(() => rolesFromWire(forged(fields)), why));
  }

  test("more instances than anybody has", () => {
    const instances = Array.from({ length: 1_001 }, () => INSTANCE);
    const wire = rolesToWire({ resource: "catalog", epoch: 1, primary: "", instances }, ABOUT);
    assert.throws(() => rolesFromWire(wire), /1001 instances, at most 1000/);
  });

  test("no resource", () => {
    const wire = rolesToWire({ resource: "", epoch: 1, primary: "", instances: [] }, ABOUT);
    assert.throws(() => rolesFromWire(wire), /resource "" is not a DNS label/);
  });
});
