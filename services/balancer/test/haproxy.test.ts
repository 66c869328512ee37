import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Instance } from "@understudy/model/instance";
import { waitFor } from "@understudy/testkit/wait";
import { startLoad } from "@understudy/traffic/test/load";
import { type Pool, startPool } from "@understudy/traffic/test/pool";
import { instanceOf, rolesOf, verdictOf } from "../src/fixtures.ts";
import { openStage, type Stage } from "./stage.ts";

const yaml = (socket: string) => `
resources:
  - name: catalog
    driver: memory
    run: { command: [catalog] }
    state: { paths: [catalog.db], consistency: sqlite }
    capacity: { target: 0.85, initialRps: 170 }
    routing: { pool: web, maxShadowShare: 0.9 }
    shadows: { min: 1, max: 3, createMs: 2000, warmUpMs: 2000, holdMs: 2000 }
pools:
  - { name: web, driver: haproxy, socket: ${socket}, backends: { reads: reads, writes: writes }, slots: 4 }
`;

/** Generous: machines that test are busy. */
const WITHIN_MS = 30_000;

describe("balancer over HAProxy", () => {
  let pool: Pool;
  let stage: Stage;
  /** What must end also when a test fails in the middle. */
  const started: { stop(): unknown }[] = [];

  before(async () => {
    pool = await startPool({ slots: 4 });
    stage = await openStage(pool.open);
    await stage.apply(yaml(`${pool.server.folder}/admin.sock`));
  });
  after(async () => {
    for (const one of started) await one.stop();
    await stage.close();
    await pool.stop();
  });

  async function running(name: string, role: Instance["role"]): Promise<Instance> {
    const { address, gateAddress } = await pool.origin(name, { serviceMs: 10 });
    return instanceOf(name, { address, gateAddress, role });
  }

  test("traffic follows the plan, by HAProxy's own counters, and writes survive a failover", async () => {
    const [c1, c2] = [await running("c-1", "primary"), await running("c-2", "shadow")];
    stage.fresh("c-2", c2.incarnation, 5);
    stage.roles(rolesOf([c1, c2], { primary: "c-1" }));
    await waitFor(() => stage.missing() === undefined, { withinMs: WITHIN_MS, what: "readiness" });
    const breathing = setInterval(() => {
      stage.fresh("c-2", c2.incarnation, 5);
      void stage.predict(320, { ahead: { 1000: 330 } });
    }, 100);
    started.push({ stop: () => clearInterval(breathing) });
    const reads = startLoad(() => pool.send("read"), { perSecond: 150 });
    const writes = startLoad(() => pool.send("write"), { perSecond: 40 });

    started.push(reads, writes);

    const measured = await waitFor(
      () =>
        stage.heard.applied
          .filter(({ verifiedBy }) => verifiedBy === "counters")
          .flatMap(({ shares }) => shares)
          .find(({ instance, measuredPpm, wantedPpm }) => instance === "c-2" && measuredPpm && wantedPpm > 0),
      { withinMs: WITHIN_MS, what: "a measured share" },
    );
    assert.ok(Math.abs(measured.measuredPpm! - measured.wantedPpm) < 20_000, `${measured.measuredPpm}`);

    (await pool.origin("c-1")).kill();
    stage.verdict(verdictOf(c1, "down"));
    stage.roles(rolesOf([{ ...c1, role: "fenced" }, c2], { epoch: 2 }));
    stage.roles(
      rolesOf(
        [
          { ...c1, role: "fenced" },
          { ...c2, role: "primary" },
        ],
        { epoch: 2, primary: "c-2" },
      ),
    );
    await waitFor(async () => (await pool.send("write")) === "c-2", {
      withinMs: WITHIN_MS,
      what: "a write at c-2",
    });
    clearInterval(breathing);
    const [read, written] = [await reads.stop(), await writes.stop()];
    assert.deepEqual(read.failures, []);
    assert.deepEqual(written.failures, []);
  });
});
