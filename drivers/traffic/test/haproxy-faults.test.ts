import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as pass } from "node:timers/promises";
import { PPM } from "@understudy/model/share";
import { waitFor } from "@understudy/testkit/wait";
import type { Plan, PlanTarget, TrafficDriver } from "../src/driver.ts";
import { startLoad } from "./load.ts";
import { type Pool, startPool } from "./pool.ts";

/** Generous: machines that test are busy. */
const WITHIN_MS = 30_000;
/** How long a failover takes to name the new primary, in these tests. */
const FAILOVER_MS = 150;

describe("HAProxy under faults", () => {
  let pool: Pool;
  let driver: TrafficDriver;
  let epoch = 0;
  let round = 0;

  before(async () => {
    pool = await startPool({ slots: 4 });
    driver = pool.open();
  });
  after(async () => {
    await driver.close();
    await pool.stop();
  });
  /** Each test has instances of its own: killed ones do not come back. */
  beforeEach(() => {
    round += 1;
    epoch += 1;
  });

  const named = (letter: string) => `${letter}${round}`;

  async function plan(reads: Record<string, number>, writes = ""): Promise<Plan> {
    const targets: PlanTarget[] = [];
    for (const [letter, readPpm] of Object.entries(reads)) {
      const { name, address, gateAddress } = await pool.origin(named(letter), { serviceMs: 20 });
      targets.push({
        instance: name,
        address,
        gateAddress,
        readPpm,
        writes: letter === writes,
        drain: false,
      });
    }
    return { pool: "web", revision: 1, epoch, targets };
  }

  async function counted(load: { served: ReadonlyMap<string, number> }, instance: string, least: number) {
    await waitFor(() => (load.served.get(instance) ?? 0) >= least, {
      withinMs: WITHIN_MS,
      what: `${least} requests at ${instance}`,
    });
  }

  test("no read and no keyed write fails when the primary dies and another takes its place", async () => {
    await driver.apply(await plan({ a: 500_000, b: 500_000 }, "a"));
    const served = { reads: new Map<string, number>(), writes: new Map<string, number>() };
    const count = (kind: "reads" | "writes") => async () => {
      const instance = await pool.send(kind === "reads" ? "read" : "write");
      served[kind].set(instance, (served[kind].get(instance) ?? 0) + 1);
      return instance;
    };
    const reads = startLoad(count("reads"), { perSecond: 200 });
    const writes = startLoad(count("writes"), { perSecond: 50 });
    await counted({ served: served.writes }, named("a"), 10);
    (await pool.origin(named("a"))).kill();
    await pass(FAILOVER_MS);
    epoch += 1;
    await driver.apply(await plan({ b: PPM }, "b"));
    await counted({ served: served.writes }, named("b"), 20);
    const [read, written] = [await reads.stop(), await writes.stop()];
    assert.deepEqual(read.failures, []);
    assert.deepEqual(written.failures, []);
  });

  test("no read fails when a shadow dies, and before any plan takes it out", async () => {
    await driver.apply(await plan({ a: 400_000, b: 600_000 }, "a"));
    const served = new Map<string, number>();
    const reads = startLoad(
      async () => {
        const instance = await pool.send("read");
        served.set(instance, (served.get(instance) ?? 0) + 1);
        return instance;
      },
      { perSecond: 200 },
    );
    await counted({ served }, named("b"), 30);
    (await pool.origin(named("b"))).kill();
    const before = served.get(named("a")) ?? 0;
    await counted({ served }, named("a"), before + 80);
    assert.deepEqual((await reads.stop()).failures, []);
  });

  test("reads that wait because nobody has weight are served when a weight alone lets one in", async () => {
    await driver.apply(await plan({ a: 0, b: 0 }));
    const waiting = [pool.send("read"), pool.send("read")];
    await waitFor(async () => (await driver.counters()).queued === 2, { withinMs: WITHIN_MS });
    await driver.apply({ ...(await plan({ a: 0, b: PPM })), revision: 2 });
    assert.deepEqual(await Promise.all(waiting), [named("b"), named("b")]);
    assert.equal(await pool.send("read"), named("b"));
  });

  test("reads flow to the primary when the checks of every read server fail", async () => {
    await driver.apply(await plan({ a: 500_000, b: 500_000 }, "a"));
    for (const letter of ["a", "b"]) (await pool.origin(named(letter))).setHealthy(false);
    await waitFor(async () => (await driver.counters()).targets.every((target) => !target.readUp), {
      withinMs: WITHIN_MS,
    });
    assert.equal(await pool.send("read"), named("a"));
    for (const letter of ["a", "b"]) (await pool.origin(named(letter))).setHealthy(true);
    await waitFor(async () => (await driver.counters()).targets.every((target) => target.readUp), {
      withinMs: WITHIN_MS,
    });
  });

  test("a closed gate keeps writes waiting, and an opened one lets them through", async () => {
    await driver.apply(await plan({ a: PPM, b: 0 }, "a"));
    const origin = await pool.origin(named("a"));
    origin.setGate(false);
    await waitFor(async () => (await driver.counters()).targets.every((target) => !target.writeUp), {
      withinMs: WITHIN_MS,
    });
    const write = pool.send("write");
    await waitFor(async () => (await driver.counters()).queued === 1, { withinMs: WITHIN_MS });
    origin.setGate(true);
    assert.equal(await write, named("a"));
  });

  test("after a restart of HAProxy writes wait for a plan, and the same plan brings everything back", async () => {
    const wanted = await plan({ a: 250_000, b: 750_000 }, "a");
    await driver.apply(wanted);
    await pool.server.restart();
    assert.equal(await driver.read(), undefined);
    const write = pool.send("write");
    await driver.apply(wanted);
    assert.equal(await write, named("a"));
    assert.deepEqual((await driver.read())?.targets, wanted.targets);
  });

  test("a driver whose HAProxy is away says unreachable, and works again when it is back", async () => {
    const wanted = await plan({ a: PPM }, "a");
    await driver.apply(wanted);
    await pool.server.kill();
    await assert.rejects(driver.apply(wanted), { code: "unreachable" });
    await pool.server.restart();
    await driver.apply(wanted);
    assert.equal(await pool.send("read"), named("a"));
  });

  test("requests in work at a closed write target are cut, so that nobody waits for the dead", async () => {
    await driver.apply(await plan({ a: PPM, b: 0 }, "a"));
    const hung = await pool.origin(named("a"));
    hung.hang(true);
    const write = pool.send("write");
    await waitFor(async () => (await driver.counters()).targets.some(({ inFlight }) => inFlight === 1), {
      withinMs: WITHIN_MS,
    });
    epoch += 1;
    await driver.apply(await plan({ a: 0, b: PPM }, "b"));
    const outcome = await Promise.race([
      write.catch((error: Error) => error.message),
      pass(8_000, "still waiting"),
    ]);
    assert.notEqual(outcome, "still waiting");
  });
});
