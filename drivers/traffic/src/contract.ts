/**
 * The contract of a traffic driver, as tests that every implementation runs: over memory, over HAProxy, over whatever
 * comes. A harness brings a fresh balancer with its instances; a deviation is listed by the harness with its reason.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PPM, splitPpm } from "@understudy/model/share";
import type { DriverErrorCode, Plan, PlanTarget, TrafficDriver } from "./driver.ts";

/** A balancer with a fresh pool "web" of `SLOTS` slots, and servers named a, b, c, ... behind it. */
export type Harness = {
  /** Another driver on the same balancer, as another process would open. */
  open(): TrafficDriver;
  /** Sends one request: the instance that served it. Rejects when it failed. */
  send(kind: "read" | "write"): Promise<string>;
  /** Where an instance of this name serves and has its gate; started when it does not run yet. */
  locate(instance: string): Promise<{ address: string; gateAddress: string }>;
  stop(): Promise<void>;
};

export type Deviations = {
  /** How far a share that is set may be from the one wanted. */
  readonly setWithinPpm: number;
  readonly because: string;
};

export const SLOTS = 4;
const READS = 2_000;
const DEADLINE_MS = 30_000;
/** 0.1 points. */
const MEASURED_WITHIN_PPM = 1_000;

export function trafficDriverContract(
  name: string,
  { start, deviations }: { start: () => Promise<Harness>; deviations: Deviations },
): void {
  describe(`traffic driver: ${name}`, () => {
    let harness: Harness;
    let driver: TrafficDriver;
    let revision = 0;

    before(async () => {
      harness = await start();
      driver = harness.open();
    });
    after(async () => {
      await driver.close();
      await harness.stop();
    });

    type Wish = { [instance: string]: number };
    async function planFor(reads: Wish, { writes = "", drain = "", epoch = 1 } = {}): Promise<Plan> {
      revision += 1;
      const targets: PlanTarget[] = [];
      for (const [instance, readPpm] of Object.entries(reads)) {
        const { address, gateAddress } = await harness.locate(instance);
        targets.push({
          instance,
          address,
          gateAddress,
          readPpm,
          writes: instance === writes,
          drain: instance === drain,
        });
      }
      return { pool: "web", revision, epoch, targets };
    }

    async function countReads(times: number): Promise<Map<string, number>> {
      const counts = new Map<string, number>();
      for (let sent = 0; sent < times; sent += 50) {
        const batch = Array.from({ length: Math.min(50, times - sent) }, () => harness.send("read"));
        for (const instance of await Promise.all(batch))
          counts.set(instance, (counts.get(instance) ?? 0) + 1);
      }
      return counts;
    }

    const codeIs = (code: DriverErrorCode) => (error: { code?: string }) => error.code === code;

    test("a balancer that never had a plan tells so, and holds a write until a plan opens a target", async () => {
      assert.equal(await driver.read(), undefined);
      let served = "";
      const write = harness.send("write").then((instance) => {
        served = instance;
      });
      await driver.apply(await planFor({ a: PPM, b: 0 }));
      assert.equal(served, "");
      await driver.apply(await planFor({ a: PPM, b: 0 }, { writes: "a" }));
      await write;
      assert.equal(served, "a");
    });

    test("reads follow the shares within 0.1 points, and the driver tells what it set", async () => {
      const [a = 0, b = 0, c = 0] = splitPpm([5, 3, 2]);
      const applied = await driver.apply(await planFor({ a, b, c }, { writes: "a" }));
      for (const { instance, setPpm } of applied.shares) {
        const wanted = { a, b, c }[instance]!;
        assert.ok(
          Math.abs(setPpm - wanted) <= deviations.setWithinPpm,
          `${instance}: ${setPpm}, not ${wanted}`,
        );
      }
      const counts = await countReads(READS);
      for (const { instance, setPpm } of applied.shares) {
        const measuredPpm = ((counts.get(instance) ?? 0) / READS) * PPM;
        assert.ok(
          Math.abs(measuredPpm - setPpm) <= MEASURED_WITHIN_PPM,
          `${instance}: ${measuredPpm}, set ${setPpm}`,
        );
      }
    });

    test("an uneven share is set as closely as the balancer can", async () => {
      const { shares } = await driver.apply(await planFor({ a: 701_234, b: 298_766 }, { writes: "a" }));
      const b = shares.find(({ instance }) => instance === "b")!;
      assert.ok(
        Math.abs(b.setPpm - 298_766) <= deviations.setWithinPpm,
        `${b.setPpm}: ${deviations.because}`,
      );
    });

    test("the same plan twice changes nothing", async () => {
      const plan = await planFor({ a: 500_000, b: 500_000 }, { writes: "a" });
      const first = await driver.apply(plan);
      const inForce = await driver.read();
      assert.deepEqual(await driver.apply(plan), first);
      assert.deepEqual(await driver.read(), inForce);
    });

    test("a driver opened later finds the plan in force and carries it on", async () => {
      const plan = await planFor({ a: 750_000, b: 250_000, c: 0 }, { writes: "b" });
      await driver.apply(plan);
      const later = harness.open();
      const found = await later.read();
      assert.deepEqual(found && sorted(found), sorted(plan));
      const older = { ...plan, revision: plan.revision - 1 };
      await assert.rejects(later.apply(older), codeIs("stale-plan"));
      await later.apply(await planFor({ b: PPM }, { writes: "b" }));
      assert.deepEqual([...(await countReads(20)).keys()], ["b"]);
      await later.close();
    });

    test("an older epoch is refused whatever its revision, and a newer one accepted", async () => {
      await driver.apply(await planFor({ a: PPM, b: 0 }, { writes: "a", epoch: 2 }));
      await assert.rejects(
        driver.apply(await planFor({ a: 0, b: PPM }, { writes: "b", epoch: 1 })),
        codeIs("stale-plan"),
      );
      assert.deepEqual([...(await countReads(20)).keys()], ["a"]);
      assert.equal(await harness.send("write"), "a");
      await driver.apply({ ...(await planFor({ a: 0, b: PPM }, { writes: "b", epoch: 3 })), revision: 1 });
      assert.equal(await harness.send("write"), "b");
      revision = 1;
    });

    test("a target that drains gets nothing new", async () => {
      await driver.apply(await planFor({ a: 500_000, b: 500_000 }, { writes: "a", drain: "b", epoch: 3 }));
      assert.deepEqual([...(await countReads(40)).keys()], ["a"]);
    });

    test("slots of targets that left are free for others", async () => {
      for (const instance of ["c", "d", "e", "f", "g", "h"]) {
        await driver.apply(await planFor({ a: 0, [instance]: PPM }, { writes: "a", epoch: 3 }));
        assert.deepEqual([...(await countReads(10)).keys()], [instance]);
      }
    });

    test("more targets than slots are refused, and the plan before stays in force", async () => {
      await driver.apply(await planFor({ a: PPM }, { writes: "a", epoch: 3 }));
      const many = Object.fromEntries(Array.from({ length: SLOTS + 1 }, (_, index) => [`n${index}`, 1]));
      await assert.rejects(driver.apply(await planFor(many, { epoch: 3 })), codeIs("no-slot"));
      assert.deepEqual([...(await countReads(10)).keys()], ["a"]);
    });

    test("a plan that contradicts itself is refused before anything is touched", async () => {
      const plan = await planFor({ a: 500_000, b: 500_000 }, { writes: "a", epoch: 3 });
      const [a, b] = plan.targets as [PlanTarget, PlanTarget];
      const wrong: PlanTarget[][] = [
        [a, { ...b, writes: true }],
        [a, a],
        [a, { ...b, readPpm: PPM }],
        [a, { ...b, address: "127.0.0.1:1;show info" }],
        [a, { ...b, instance: "b;show info" }],
        [{ ...a, gateAddress: "" }, b],
      ];
      for (const targets of wrong)
        await assert.rejects(driver.apply({ ...plan, targets }), codeIs("refused"));
    });

    test("counters count arrivals, those that wait included", async () => {
      await driver.apply(await planFor({ a: PPM }, { epoch: 3 }));
      const before = await driver.counters();
      await countReads(30);
      const waiting = [harness.send("write"), harness.send("write")];
      await eventually(async () => (await driver.counters()).queued === before.queued + 2);
      const during = await driver.counters();
      assert.equal(during.readsOffered - before.readsOffered, 30);
      assert.equal(during.writesOffered - before.writesOffered, 2);
      await driver.apply(await planFor({ a: PPM }, { writes: "a", epoch: 3 }));
      assert.deepEqual(await Promise.all(waiting), ["a", "a"]);
      const a = (await driver.counters()).targets.find(({ instance }) => instance === "a");
      assert.ok(a && a.reads >= 30 && a.writes >= 2);
    });

    test("a closed driver says so", async () => {
      const other = harness.open();
      await other.close();
      await assert.rejects(other.counters(), codeIs("closed"));
    });
  });
}

function sorted(plan: Plan): Plan {
  return { ...plan, targets: plan.targets.toSorted((a, b) => a.instance.localeCompare(b.instance)) };
}

async function eventually(condition: () => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + DEADLINE_MS;
  while (!(await condition())) {
    assert.ok(performance.now() < untilMs, "the condition did not come in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
