import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type EnvironmentError, openEnvironment, readServiceEnvironment } from "./environment.ts";

const GOOD = {
  UNDERSTUDY_HOST: "edge-a",
  UNDERSTUDY_NATS_URL: "nats://127.0.0.1:4222",
  UNDERSTUDY_NATS_USER: "health",
  UNDERSTUDY_NATS_PASSWORD: "secret",
  UNDERSTUDY_TLS_DIR: "/tls",
  UNDERSTUDY_DATA_DIR: "/data",
};

describe("service environment", () => {
  test("is read with safe defaults: loopback, no tracing", () => {
    const reader = openEnvironment(GOOD);
    const environment = readServiceEnvironment(reader);
    reader.finish();
    assert.deepEqual(environment.grpcListen, { host: "127.0.0.1", port: 0 });
    assert.equal(environment.otlpEndpoint, "");
    assert.equal(environment.nats.password, "secret");
    assert.ok(Object.isFrozen(environment));
  });

  test("reports all mistakes together", () => {
    const reader = openEnvironment({ UNDERSTUDY_HOST: "Edge_A", UNDERSTUDY_GRPC_LISTEN: "nowhere" });
    readServiceEnvironment(reader);
    assert.throws(
      () => reader.finish(),
      (error: EnvironmentError) => {
        assert.match(error.message, /UNDERSTUDY_HOST="Edge_A" is not a DNS label/);
        assert.match(error.message, /UNDERSTUDY_GRPC_LISTEN="nowhere" is not host:port/);
        assert.match(error.message, /UNDERSTUDY_NATS_URL is not set/);
        assert.equal(error.mistakes.length, 7);
        return true;
      },
    );
  });

  test("a secret comes from its file, and a missing file is a mistake that names it", () => {
    const dir = mkdtempSync(join(tmpdir(), "understudy-env-"));
    writeFileSync(join(dir, "password"), "from-file\n");
    const reader = openEnvironment({ A_FILE: join(dir, "password"), B_FILE: join(dir, "nothing") });
    assert.equal(reader.secret("A"), "from-file");
    reader.secret("B");
    assert.throws(() => reader.finish(), /B_FILE=.*nothing" cannot be read: ENOENT/);
    rmSync(dir, { recursive: true });
  });
});

test("one endpoint or several with commas between them", () => {
  const reader = openEnvironment({ ONE: "a:1", TWO: "a:1, b:2", BAD: "a:1,b" });
  assert.deepEqual(reader.endpoints("ONE"), [{ host: "a", port: 1 }]);
  assert.deepEqual(
    reader.endpoints("TWO").map(({ host }) => host),
    ["a", "b"],
  );
  reader.endpoints("BAD");
  assert.throws(() => reader.finish(), /BAD="a:1,b" is not host:port, or several with commas/);
});
