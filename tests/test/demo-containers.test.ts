/**
 * The demo over containers as a user runs it: its report, and that it leaves nothing on the engine. Needs an engine with the
 * example service's image, so `.ci/containers` asks for it.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { EXIT_BUSY_MACHINE, EXIT_VALID, REPORT_KEYS, startDemo } from "../src/demo-process.ts";

const WANTED = process.env.UNDERSTUDY_TEST_COMPOSE === "1";
const EXIT_FAILED = 1;

function leftOnEngine(): string {
  const lists = [
    ["ps", "-aq"],
    ["network", "ls", "-q"],
  ];
  return lists
    .map((list) =>
      execFileSync("docker", [...list, "--filter", "label=understudy-run"], { encoding: "utf8" }),
    )
    .join("");
}

async function demo(...options: string[]): Promise<{ code: number | null; output: string; errors: string }> {
  const child = startDemo("--driver", "docker", ...options);
  const exited = once(child, "exit");
  const [output, errors] = await Promise.all([text(child.stdout!), text(child.stderr!)]);
  const [code] = (await exited) as [number | null];
  return { code, output, errors };
}

describe("the demo over containers", {
  skip: WANTED ? false : "UNDERSTUDY_TEST_COMPOSE=1 is not set: .ci/containers runs it",
  timeout: 180_000,
}, () => {
  it("kills its primary's container, loses nothing, reports every figure and removes what it made", async () => {
    const { code, output, errors } = await demo("--duration", "9", "--policy", "none", "--json");
    assert.ok(code === EXIT_VALID || code === EXIT_BUSY_MACHINE, `exit code ${code}:\n${errors}`);
    const report = JSON.parse(output.trimEnd().split("\n").at(-1)!).policies.none;
    for (const key of REPORT_KEYS) assert.ok(key in report, key);
    assert.equal(report.criticalWritesLost, 0);
    assert.ok(report.failoverMs > 0);
    assert.ok(report.deltaBytes > 0 && report.stateBytes > 0);
    assert.match(errors, /failover\.done/);
    assert.equal(leftOnEngine(), "");
  });

  it("says how to build the image when there is none, and leaves nothing", async () => {
    const { code, errors } = await demo("--image", "understudy-no-such-image");
    assert.equal(code, EXIT_FAILED);
    assert.match(errors, /no image understudy-no-such-image: .*docker build --build-arg SERVICE=catalog/);
    assert.equal(leftOnEngine(), "");
  });
});
