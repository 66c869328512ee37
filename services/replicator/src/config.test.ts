import assert from "node:assert/strict";
import { test } from "node:test";
import { readConfig } from "./config.ts";

const ENVIRONMENT = {
  UNDERSTUDY_HOST: "host-a",
  UNDERSTUDY_NATS_URL: "nats://127.0.0.1:4222",
  UNDERSTUDY_NATS_USER: "replicator",
  UNDERSTUDY_NATS_PASSWORD: "secret",
  UNDERSTUDY_TLS_DIR: "tls",
  UNDERSTUDY_DATA_DIR: "data",
  UNDERSTUDY_REDIS_URL: "redis://127.0.0.1:6379",
  UNDERSTUDY_HEALTH_GRPC: "127.0.0.1:7002",
  PATH: "/usr/bin",
};

test("a whole environment is read, and instances see none of its secrets", () => {
  const config = readConfig(ENVIRONMENT);
  assert.deepEqual(config.redis, { url: "redis://127.0.0.1:6379", password: "" });
  assert.equal(config.healthGrpc, "127.0.0.1:7002");
  assert.deepEqual(Object.keys(config.instanceEnvironment), ["PATH", "HOME", "TMPDIR", "UNDERSTUDY_RUN"]);
});

test("all mistakes are reported together", () => {
  const bad = {
    ...ENVIRONMENT,
    UNDERSTUDY_REDIS_URL: undefined,
    UNDERSTUDY_HEALTH_GRPC: "nowhere",
    UNDERSTUDY_INSTANCE_ADDRESS: "a-name",
  };
  const all = /REDIS_URL is not set.*HEALTH_GRPC="nowhere".*INSTANCE_ADDRESS="a-name" is not an IP address/;
  assert.throws(() => readConfig(bad), all);
});
