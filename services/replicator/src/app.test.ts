/** How an application is brought to a new version, over an HTTP server that stands for it. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import type { ResourceSpec } from "@understudy/model/policy";
import type { RunningInstance } from "@understudy/resource/driver";
import { holdOf, isReached, openApp } from "./app.ts";
import { exampleSpec } from "./example-spec.ts";
import type { Instances } from "./instances.ts";

const MEMBER = { instance: "app-2", incarnation: "a" };
const at = (version: number) => ({ epoch: 2, version, hlc: { wallMs: 0, counter: 0 }, root: "" });

/** An application that shows a version once it was told to look. */
async function scene(t: TestContext, state: Partial<ResourceSpec["state"]>) {
  const calls: string[] = [];
  let shown = "2.6";
  const server = createServer((request, response) => {
    calls.push(`${request.method} ${request.url}`);
    if (request.url === "/reload") setTimeout(() => (shown = "2.7"), 300);
    response.end(`${shown}\n`);
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const running: RunningInstance = { resource: "app", ...MEMBER, address, pid: 7, pidStartTicks: 70 };
  const instances: Partial<Instances> = {
    running: () => running,
    stateDir: () => "/state",
    answers: async () => true,
    signal: async (_, name) => void calls.push(name),
    restart: async () => void calls.push("restart"),
  };
  const spec = {
    ...exampleSpec,
    state: { ...exampleSpec.state, consistency: "none", ...state },
  } as ResourceSpec;
  const announced: string[] = [];
  const app = openApp({
    spec: () => spec,
    instances: () => instances as Instances,
    announce: async (instance, ms, why) => void announced.push(`${instance} ${ms} ${why}`),
  });
  return { app, calls, announced, address };
}

test("http: the instance is sent a POST, and the version counts once it answers it", async (t) => {
  const { app, calls } = await scene(t, {
    onVersion: "http",
    visible: { http: "/version", timeoutMs: 20_000 },
  });
  await app.showTo(MEMBER)!(at(7));
  assert.equal(calls[0], "POST /reload");
  assert.ok(calls.filter((call) => call === "GET /version").length > 1, "asked until it was shown");
});

test("a version that is never answered is no visible one", async (t) => {
  const { app } = await scene(t, { onVersion: "reopens", visible: { http: "/version", timeoutMs: 1000 } });
  await assert.rejects(
    app.showTo(MEMBER)!(at(9)),
    /version 2\.9 is not shown within 1000 ms.*answers "2\.6"/,
  );
});

test("signal and restart go to the instance; reopens asks nothing of it", async (t) => {
  for (const [onVersion, expected] of [
    ["signal", ["SIGHUP"]],
    ["restart", ["restart"]],
    ["reopens", []],
  ] as const) {
    const { app, calls } = await scene(t, { onVersion });
    await app.showTo(MEMBER)!(at(7));
    assert.deepEqual(calls, expected);
  }
});

test("a database needs nobody to be told", async (t) => {
  const { app } = await scene(t, { consistency: "sqlite" });
  assert.equal(app.showTo(MEMBER), undefined);
});

test("the writer of a state is its instance, and its silence is announced under its name", async (t) => {
  const { app, announced, address } = await scene(t, {});
  const writer = app.writerOf(MEMBER);
  assert.deepEqual(writer.process(), { pid: 7, startTicks: 70 });
  assert.equal(writer.target().address, address);
  await writer.announce!(800, "freeze");
  assert.deepEqual(announced, ["app-2 800 freeze"]);
});

test("a marker is reached by the same version, a later one, and any of a later epoch", () => {
  assert.equal(isReached("2.7\n", at(7)), true);
  assert.equal(isReached("2.8", at(7)), true);
  assert.equal(isReached("3.1", at(7)), true);
  for (const short of ["2.6", "1.9", "", "seven", "2.7.1"])
    assert.equal(isReached(short, at(7)), false, short);
});

test("only hook and freeze make a writer stand still", () => {
  const of = (consistency: ResourceSpec["state"]["consistency"]) =>
    holdOf({ ...exampleSpec, state: { ...exampleSpec.state, consistency } })?.kind;
  assert.deepEqual(
    [of("sqlite"), of("none"), of("hook"), of("freeze")],
    [undefined, undefined, "hook", "freeze"],
  );
});
