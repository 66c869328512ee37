import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { findEngine } from "./container-stage.ts";

test("an engine that cannot be used is one sentence with the remedy", () => {
  const says = (DOCKER_HOST: string, message: RegExp) =>
    assert.throws(() => findEngine({ DOCKER_HOST }), { code: "not-found", message });
  says("tcp://10.0.0.1:2375", /^no container engine to use: DOCKER_HOST is tcp:.*unix:\/\/\/\.\.\.$/);
  says("unix:///nowhere/docker.sock", /no socket \/nowhere\/docker\.sock: start Docker, or name its socket/);
});

test("a file that is no socket is no engine", () => {
  const dir = mkdtempSync(join(tmpdir(), "understudy-stage-"));
  const file = join(dir, "docker.sock");
  writeFileSync(file, "");
  assert.throws(() => findEngine({ DOCKER_HOST: `unix://${file}` }), {
    code: "not-found",
    message: /no socket/,
  });
  rmSync(dir, { recursive: true });
});
