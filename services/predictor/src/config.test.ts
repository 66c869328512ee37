import assert from "node:assert/strict";
import { test } from "node:test";
import { readConfig } from "./config.ts";

const ENVIRONMENT = {
  UNDERSTUDY_HOST: "host-a",
  UNDERSTUDY_NATS_URL: "nats://127.0.0.1:4222",
  UNDERSTUDY_NATS_USER: "predictor",
  UNDERSTUDY_NATS_PASSWORD: "secret",
  UNDERSTUDY_TLS_DIR: "tls",
  UNDERSTUDY_DATA_DIR: "data",
};

test("one predictor looks after all resources unless it is told its shard", () => {
  assert.deepEqual(readConfig(ENVIRONMENT).shard, { index: 0, of: 1 });
  assert.deepEqual(readConfig({ ...ENVIRONMENT, UNDERSTUDY_SHARD: "1/3" }).shard, { index: 1, of: 3 });
});

test("a shard that cannot be is refused in one sentence, with all other mistakes", () => {
  const bad = { ...ENVIRONMENT, UNDERSTUDY_SHARD: "2/2", UNDERSTUDY_NATS_URL: undefined };
  assert.throws(
    () => readConfig(bad),
    /UNDERSTUDY_NATS_URL is not set; UNDERSTUDY_SHARD="2\/2" is not INDEX\/COUNT, such as 0\/2 and 1\/2/,
  );
});
