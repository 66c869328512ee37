/**
 * What every resource driver keeps, as one suite over all of them. A driver brings a machine on which its instances run
 * and which outlives it; the suite opens, closes and opens it again as a restarting replicator does.
 */

import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type ResourceDriver, ResourceError, type RoleOrder, type RunningInstance } from "./driver.ts";

export type DriverMachine = {
  /** A driver of the resource "catalog" on the same instances each time. */
  open(): Promise<ResourceDriver>;
  /** The instance dies without the driver's doing. */
  kill(running: RunningInstance): Promise<void>;
  /** The role order the instance itself sees; undefined when it does not run. */
  roleSeenBy(running: RunningInstance): Promise<RoleOrder | undefined>;
  /** The signals that the instance has handled. */
  signalsSeenBy(running: RunningInstance): Promise<readonly string[]>;
  stateDir(): Promise<string>;
  /** Ends whatever still runs. */
  close(): Promise<void>;
};

const SHADOW: RoleOrder = { role: "shadow", epoch: 1, untilBootMs: 0 };
const PRIMARY: RoleOrder = { role: "primary", epoch: 2, untilBootMs: 9_999_999_999 };
const GRACE_MS = 2000;
const LOOK_MS = 20;
const LOOKS_MAX = 1000;

/**
 * `timeoutMs`: for the whole suite; an engine of containers takes a second or two for each start on a busy machine.
 * `movesOnRestart`: a known deviation of engines, which give a container that starts again the next free address.
 */
export function describeResourceDriver(
  name: string,
  openMachine: () => Promise<DriverMachine>,
  {
    timeoutMs = 60_000,
    movesOnRestart = false,
  }: { readonly timeoutMs?: number; readonly movesOnRestart?: boolean } = {},
): void {
  describe(`${name} resource driver`, { timeout: timeoutMs }, async () => {
    const machine = await openMachine();
    let driver = await machine.open();
    let sequence = 0;
    after(async () => {
      await driver.close();
      await machine.close();
    });
    beforeEach(() => {
      sequence += 1;
    });
    const reopen = async (): Promise<void> => {
      await driver.close();
      driver = await machine.open();
    };
    const request = async (incarnation = `i${sequence}`) => ({
      resource: "catalog",
      instance: `catalog-${sequence}`,
      incarnation,
      stateDir: await machine.stateDir(),
      role: SHADOW,
      env: {},
    });
    const names = async (): Promise<string[]> => (await driver.list()).map(({ instance }) => instance);

    const until = async (holds: () => Promise<boolean>): Promise<void> => {
      for (let look = 0; look < LOOKS_MAX && !(await holds()); look += 1) await sleep(LOOK_MS);
      assert.ok(await holds());
    };
    /** It knows its role once it has begun. */
    const ready = (running: RunningInstance) =>
      until(async () => (await machine.roleSeenBy(running)) !== undefined);

    it("runs what it was asked to start, under its incarnation and role", async () => {
      const running = await driver.start(await request("first"));
      assert.equal(running.incarnation, "first");
      assert.match(running.address, /^[\d.]+:\d+$/);
      assert.deepEqual(await machine.roleSeenBy(running), SHADOW);
      assert.ok((await names()).includes(running.instance));
    });

    it("returns the running instance when asked to start the same incarnation again", async () => {
      const [one, two] = await Promise.all([driver.start(await request()), driver.start(await request())]);
      assert.deepEqual(one, two);
      assert.deepEqual(await driver.start(await request()), one);
    });

    it("refuses a second incarnation while the first one runs", async () => {
      const running = await driver.start(await request("old"));
      await assert.rejects(driver.start(await request("new")), { name: "ResourceError", code: "refused" });
      await driver.stop(running, GRACE_MS);
      assert.equal((await driver.start(await request("new"))).incarnation, "new");
    });

    it("refuses a resource that it does not know", async () => {
      const start = driver.start({ ...(await request()), resource: "unknown" });
      await assert.rejects(start, (error) => error instanceof ResourceError && error.code === "not-found");
    });

    it("shows a new role to the instance at once", async () => {
      const running = await driver.start(await request());
      await driver.setRole(running, PRIMARY);
      assert.deepEqual(await machine.roleSeenBy(running), PRIMARY);
    });

    it("never gives a role meant for an earlier incarnation to a later one", async () => {
      const old = await driver.start(await request("old"));
      await driver.fence(old);
      const now = await driver.start(await request("new"));
      await driver.setRole(old, PRIMARY);
      assert.deepEqual(await machine.roleSeenBy(now), SHADOW);
    });

    it("fences for good, and again without harm", async () => {
      const running = await driver.start(await request());
      assert.equal((await driver.fence(running)).confirmed, true);
      assert.equal(await machine.roleSeenBy(running), undefined);
      assert.ok(!(await names()).includes(running.instance));
      assert.equal((await driver.fence(running)).confirmed, true);
    });

    it("leaves a later incarnation alone when an earlier one is fenced or stopped again", async () => {
      const old = await driver.start(await request("old"));
      await driver.fence(old);
      const now = await driver.start(await request("new"));
      assert.equal((await driver.fence(old)).confirmed, true);
      await driver.stop(old, GRACE_MS);
      assert.deepEqual(await machine.roleSeenBy(now), SHADOW);
      assert.ok((await names()).includes(now.instance));
    });

    it("stops, and again without harm", async () => {
      const running = await driver.start(await request());
      await driver.stop(running, GRACE_MS);
      assert.ok(!(await names()).includes(running.instance));
      await driver.stop(running, GRACE_MS);
    });

    it("tells once when an instance ends, also a listener that comes late", async () => {
      const running = await driver.start(await request());
      const heard: string[] = [];
      const early = Promise.withResolvers<void>();
      driver.onExit(running, (detail) => {
        heard.push(detail);
        early.resolve();
      });
      await machine.kill(running);
      await early.promise;
      await new Promise<void>((resolve) => driver.onExit(running, () => resolve()));
      assert.equal(heard.length, 1);
      assert.match(heard[0]!, /^exited: /);
      assert.ok(!(await names()).includes(running.instance));
    });

    it("starts again after a death", async () => {
      const dead = await driver.start(await request("dead"));
      await machine.kill(dead);
      const again = await driver.start(await request("again"));
      assert.deepEqual(await machine.roleSeenBy(again), SHADOW);
    });

    it("leaves instances running when it is closed, and finds them again when it is opened", async () => {
      const running = await driver.start(await request());
      await reopen();
      assert.deepEqual(
        (await driver.list()).find(({ instance }) => instance === running.instance),
        running,
      );
      assert.deepEqual(await driver.start(await request()), running);
      await driver.setRole(running, PRIMARY);
      assert.deepEqual(await machine.roleSeenBy(running), PRIMARY);
    });

    it("sees the end of an instance that it only found again", async () => {
      const running = await driver.start(await request());
      await reopen();
      const ended = new Promise<string>((resolve) => driver.onExit(running, resolve));
      await machine.kill(running);
      assert.match(await ended, /^exited: /);
    });

    it("fences an instance that it only found again", async () => {
      const running = await driver.start(await request());
      await reopen();
      assert.equal((await driver.fence(running)).confirmed, true);
      assert.equal(await machine.roleSeenBy(running), undefined);
    });

    it("forgets instances that ended while it was closed", async () => {
      const running = await driver.start(await request());
      await driver.close();
      await machine.kill(running);
      driver = await machine.open();
      assert.ok(!(await names()).includes(running.instance));
    });

    it("sends a signal to a running instance, and to nobody when it has ended", async () => {
      const running = await driver.start(await request());
      await ready(running);
      await driver.signal(running, "SIGHUP");
      await until(async () => (await machine.signalsSeenBy(running)).includes("SIGHUP"));
      assert.ok((await names()).includes(running.instance));
      await driver.fence(running);
      await driver.signal(running, "SIGHUP");
    });

    it("restarts under the same incarnation and address, and tells nobody of an end", async () => {
      const asked = await request();
      const running = await driver.start(asked);
      let ends = 0;
      driver.onExit(running, () => {
        ends += 1;
      });
      const again = await driver.restart(running, { ...asked, role: PRIMARY }, GRACE_MS);
      assert.notEqual(again.pid, running.pid);
      assert.equal(again.incarnation, running.incarnation);
      if (!movesOnRestart) assert.equal(again.address, running.address);
      assert.deepEqual(await machine.roleSeenBy(again), PRIMARY);
      assert.deepEqual(
        (await driver.list()).filter(({ instance }) => instance === running.instance),
        [again],
      );
      const ended = new Promise<string>((resolve) => driver.onExit(again, resolve));
      await machine.kill(again);
      await ended;
      assert.equal(ends, 0);
    });

    it("does not bring back by a restart what has ended", async () => {
      const asked = await request();
      const running = await driver.start(asked);
      await driver.fence(running);
      await assert.rejects(driver.restart(running, asked, GRACE_MS), { code: "refused" });
      assert.ok(!(await names()).includes(running.instance));
    });

    it("refuses work when it is closed", async () => {
      const wanted = await request();
      await driver.close();
      await driver.close();
      await assert.rejects(driver.start(wanted), { name: "ResourceError", code: "closed" });
      driver = await machine.open();
    });
  });
}
