/**
 * The compose cluster as a user starts it: built, healthy, the catalog's container under protection; its death, and the
 * death of every other part, heal by themselves. Needs an engine and minutes, so `.ci/containers` asks for it.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { REPOSITORY } from "@understudy/testkit/run-folder";

const WANTED = process.env.UNDERSTUDY_TEST_COMPOSE === "1";
const PROJECT = `understudy-test-${process.pid}`;
const PORT = String(20_000 + (process.pid % 10_000));
const BUILD_WITHIN_MS = 540_000;
const UP_WITHIN_S = 180;
const HEAL_WITHIN_MS = 90_000;
const IMAGE_BYTES_MAX = 220e6;
const PARTS = ["nats", "redis", "haproxy", "collector", "predictor", "balancer", "health", "replicator"];
/** The one container whose name is fixed, because a configuration file has to know it. */
const CATALOG = "understudy-catalog";

function docker(args: readonly string[], timeoutMs = 60_000): string {
  return execFileSync("docker", args, {
    cwd: REPOSITORY,
    encoding: "utf8",
    timeout: timeoutMs,
    maxBuffer: 64 * 1024 * 1024,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, COMPOSE_PROJECT_NAME: PROJECT, WEB_PORT: PORT },
  }).trim();
}

const compose = (args: readonly string[], timeoutMs?: number) => docker(["compose", ...args], timeoutMs);

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<number> {
  const startedMs = performance.now();
  for (;;) {
    if (await holdsNow(holds)) return performance.now() - startedMs;
    assert.ok(performance.now() - startedMs < HEAL_WITHIN_MS, `not within ${HEAL_WITHIN_MS} ms: ${what}`);
    await sleep(50);
  }
}

/** A command that fails or comes too late is no answer yet. */
async function holdsNow(holds: () => boolean | Promise<boolean>): Promise<boolean> {
  try {
    return await holds();
  } catch {
    return false;
  }
}

/** The adopted container, unless somebody else is the primary by now. */
function primaryContainer(): string {
  const primary = /primary (catalog-\d+)/.exec(status())?.[1];
  const made = docker(["ps", "--filter", `label=understudy.instance=${primary}`, "--format", "{{.Names}}"]);
  return made.split("\n")[0] || CATALOG;
}

function status(): string {
  return compose(["run", "--rm", "-T", "cli", "status"]);
}

async function order(key = randomUUID()): Promise<{ ok: boolean; id: number }> {
  const response = await fetch(`http://127.0.0.1:${PORT}/orders`, {
    method: "POST",
    headers: { "idempotency-key": key },
    body: JSON.stringify({ product: 5, quantity: 1 }),
    signal: AbortSignal.timeout(15_000),
  });
  const body = (await response.json()) as { order?: number };
  return { ok: response.ok, id: body.order ?? 0 };
}

async function reads(path: string): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${PORT}${path}`, { signal: AbortSignal.timeout(15_000) });
  await response.arrayBuffer();
  return response.ok;
}

function inSyncShadow(text: string): boolean {
  return /^catalog-\d+ +shadow +serving .* yes /m.test(text);
}

function remove(list: readonly string[], command: readonly string[]): void {
  const ids = docker(list);
  if (ids !== "") docker([...command, ...ids.split("\n")]);
}

describe("the compose cluster", {
  skip: WANTED ? false : "UNDERSTUDY_TEST_COMPOSE=1 is not set: .ci/containers runs it",
  timeout: 1_200_000,
}, () => {
  before(() => {
    compose(["build", "--quiet"], BUILD_WITHIN_MS);
  });
  after(() => {
    // It would make them again.
    compose(["stop", "replicator"]);
    remove(["ps", "-aq", "--filter", "label=understudy.resource=catalog"], ["rm", "-f", "-v"]);
    compose(["down", "--volumes", "--timeout", "3"], 120_000);
    remove(["volume", "ls", "-q", "--filter", "label=understudy.manager"], ["volume", "rm", "-f"]);
  });

  it("is healthy as a whole, from images of less than 220 MB", () => {
    const startedMs = performance.now();
    compose(["up", "-d", "--wait", "--wait-timeout", String(UP_WITHIN_S)], (UP_WITHIN_S + 60) * 1000);
    console.log(`all healthy after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
    const bytes = Number(docker(["image", "inspect", "-f", "{{.Size}}", "understudy-replicator"]));
    console.log(`image: ${(bytes / 1e6).toFixed(0)} MB`);
    assert.ok(bytes < IMAGE_BYTES_MAX);
  });

  it("mirrors the catalog's container, as understudy status shows", async () => {
    await until("a shadow in sync", () => inSyncShadow(status()));
    console.log(status());
    assert.ok((await order()).ok);
    assert.ok(await reads("/products/5"));
  });

  it("goes on when the catalog's container is killed, and has everything it had answered", async () => {
    const orders: number[] = [];
    for (let n = 0; n < 10; n += 1) orders.push((await order()).id);
    docker(["kill", primaryContainer()]);
    const key = randomUUID();
    const tookMs = await until("a write", async () => (await order(key)).ok);
    console.log(`from docker kill to the first answered write: ${tookMs.toFixed(0)} ms`);
    for (const id of orders) assert.ok(await reads(`/orders/${id}`), `order ${id} is gone`);
    await until("a new shadow in sync", () => inSyncShadow(status()));
    assert.match(status(), /catalog: epoch [2-9]/);
  });

  for (const part of PARTS) {
    it(`heals when ${part} crashes`, async () => {
      const id = compose(["ps", "-q", part]);
      const pid = docker(["inspect", "-f", "{{.State.Pid}}", id]);
      process.kill(Number(pid), "SIGKILL");
      await until(`${part} runs again`, () => {
        const [now, health] = docker(["inspect", "-f", "{{.State.Pid}} {{.State.Health.Status}}", id]).split(
          " ",
        );
        return now !== "0" && now !== pid && health === "healthy";
      });
      await until("a read", () => reads("/products/6"));
      await until("a write", async () => (await order()).ok);
    });
  }
});
