import assert from "node:assert/strict";
import { test } from "node:test";
import { DriverError } from "../driver.ts";
import { remoteOf, runtimeConnector } from "./runtime-address.ts";

test("a path is a socket beside us, tls:// is one across a network", () => {
  assert.equal(remoteOf("/run/haproxy/admin.sock"), undefined);
  assert.deepEqual(remoteOf("tls://haproxy.understudy:9999"), { host: "haproxy.understudy", port: 9999 });
  assert.deepEqual(remoteOf("tls://[::1]:9999"), { host: "[::1]", port: 9999 });
});

for (const text of ["tls://", "tls://haproxy", "tls://haproxy:99999", "tls://me@haproxy:9999"])
  test(`"${text}" is refused`, () => assert.throws(() => remoteOf(text), RangeError));

test("across a network there is no way without a certificate", () => {
  const isRefused = (error: unknown) => error instanceof DriverError && error.code === "refused";
  assert.throws(() => runtimeConnector("tls://haproxy:9999", undefined), isRefused);
});
