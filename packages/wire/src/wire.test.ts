import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Roles, Verdict } from "@understudy/model/instance";
import type { Position } from "@understudy/model/position";
import { PositionSchema } from "@understudy/wire/gen/header";
import { VerdictSchema } from "@understudy/wire/gen/health";
import { InstancePhase, InstanceSchema, type Role, RoleChangedSchema } from "@understudy/wire/gen/role";
import { positionFromWire, positionToWire } from "./header.ts";
import { rolesFromWire, rolesToWire, verdictFromWire, verdictToWire } from "./roles.ts";

const ABOUT = { time: { wallMs: 1_700_000_000_123, counter: 4 }, source: "test", reason: "why not" };

describe("the domain's words survive the wire", () => {
  test("positions", () => {
    const position: Position = { epoch: 7, version: 2 ** 40, hlc: ABOUT.time, root: "ab".repeat(32) };
    assert.deepEqual(
      positionFromWire(fromBinary(PositionSchema, toBinary(PositionSchema, positionToWire(position)))),
      position,
    );
  });

  test("roles with their instances", () => {
    const roles: Roles = {
      resource: "catalog",
      epoch: 3,
      primary: "catalog-1",
      instances: [
        {
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
        },
      ],
    };
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
      create(InstanceSchema, { name: "r-1", role: 99 as Role, phase: InstancePhase.SERVING }),
    );
    assert.throws(() => rolesFromWire(wire), /unknown role/);
  });
});
