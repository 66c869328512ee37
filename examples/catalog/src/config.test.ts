import assert from "node:assert/strict";
import { test } from "node:test";
import { readConfig } from "./config.ts";

const GOOD = {
  UNDERSTUDY_RESOURCE: "catalog",
  UNDERSTUDY_INSTANCE: "catalog-1",
  UNDERSTUDY_STATE_DIR: "/state",
  UNDERSTUDY_PORT: "4000",
  UNDERSTUDY_ROLE_FILE: "/role.json",
};

test("what Understudy sets is enough", () => {
  const config = readConfig(GOOD);
  assert.equal(config.port, 4000);
  assert.equal(config.workers * (1000 / config.serviceMs), 200);
  assert.equal(config.replicator, undefined);
});

test("all mistakes are reported together", () => {
  assert.throws(
    () =>
      readConfig({ ...GOOD, UNDERSTUDY_INSTANCE: undefined, CATALOG_WORKERS: "many", UNDERSTUDY_PORT: "-1" }),
    /UNDERSTUDY_INSTANCE is not set; UNDERSTUDY_PORT is "-1".*; CATALOG_WORKERS is "many"/,
  );
});

test("asking for Barrier takes a certificate", () => {
  assert.throws(
    () => readConfig({ ...GOOD, UNDERSTUDY_REPLICATOR_GRPC: "127.0.0.1:1" }),
    /UNDERSTUDY_TLS_DIR is not set/,
  );
});
