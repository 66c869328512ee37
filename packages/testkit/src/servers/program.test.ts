import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { howToInstall } from "./install-hint.ts";
import { splitUrl } from "./passwords.ts";
import { findOnPath } from "./program.ts";

test("a program is found on the given path, and only when it can be run", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "path-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "understudy-no-such-program");
  writeFileSync(file, "#!/bin/sh\n");
  assert.equal(findOnPath("understudy-no-such-program", `/nowhere:${folder}`), undefined);
  chmodSync(file, 0o755);
  assert.equal(findOnPath("understudy-no-such-program", `/nowhere:${folder}`), file);
});

test("a server that cannot be had is one message with a command for each package manager", () => {
  const message = howToInstall("redis-server", ["it is not on PATH", "Docker does not answer"]);
  for (const words of [
    "apt-get install redis-server",
    "brew install redis",
    "dnf install redis",
    "apk add redis",
  ]) {
    assert(message.includes(words), words);
  }
  assert.match(message, /it is not on PATH; Docker does not answer/);
});

test("a server's URL is split into address, user and password", () => {
  assert.deepEqual(splitUrl("nats://me:p%40ss@example:4222"), {
    url: "nats://example:4222",
    user: "me",
    password: "p@ss",
  });
  assert.deepEqual(splitUrl("redis://:secret@127.0.0.1:6379/"), {
    url: "redis://127.0.0.1:6379",
    user: "",
    password: "secret",
  });
});
