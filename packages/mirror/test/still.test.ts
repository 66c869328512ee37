/** Writers that are made to stand still: what a version then holds, and that they always go on. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { HoldSpec } from "@understudy/model/policy";
import { FILE_WRITER, roundsOf, tornness } from "@understudy/testkit/file-rounds";
import { freeze, freezeHow, thaw } from "../src/freeze.ts";
import { thawStale } from "../src/holder.ts";
import { openStill, type Writer } from "../src/still.ts";
import { pinVersion } from "../src/version-pin.ts";
import { attach, caughtUp, openWorld, until, type World } from "./ends.ts";

const FREEZE: HoldSpec = { kind: "freeze", budget: 0.2, timeoutMs: 800 };
const http = (path: string) => ({ command: [], http: path });
const HOOK: HoldSpec = {
  kind: "hook",
  quiesce: http("/quiesce"),
  thaw: http("/thaw"),
  callMs: 500,
  timeoutMs: 1000,
};

type RunningWriter = Writer & { readonly child: ChildProcess; rounds(): number; address: string };

async function startWriter(t: TestContext, folder: string): Promise<RunningWriter> {
  const child = spawn(process.execPath, [FILE_WRITER, folder, "8192", "1"], {
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  let [port, rounds] = [0, 0];
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const [what, number] = line.split(" ");
    if (what === "port") port = Number(number);
    else rounds = Number(number);
  });
  await until("the writer writes", () => rounds > 0);
  const leader = { pid: child.pid!, startTicks: startTicksOf(child.pid!) };
  const address = `127.0.0.1:${port}`;
  return {
    child,
    address,
    rounds: () => rounds,
    process: () => (child.exitCode === null && child.signalCode === null ? leader : undefined),
    target: () => ({ address, env: {} }),
  };
}

function startTicksOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]);
}

async function goesOn(writer: RunningWriter, when: string): Promise<void> {
  const from = writer.rounds();
  await until(`the writer goes on ${when}`, () => writer.rounds() > from + 1);
}

async function follow(world: World, writer: RunningWriter) {
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary({ writer });
  attach(primary, listener, "two");
  await until("seeded", () => shadow.seeded());
  const state = world.stateOf("two").dir;
  return { primary, shadow, state };
}

async function pinnedRounds(state: string): Promise<number[]> {
  const pin = await pinVersion(state);
  try {
    return roundsOf(pin.path);
  } finally {
    await pin.release();
  }
}

for (const { name, hold, quiet } of [
  {
    name: "freeze: every version is a moment of the writer, as a kill would leave it",
    hold: FREEZE,
    quiet: false,
  },
  { name: "hook: every version is one in which the application was quiet", hold: HOOK, quiet: true },
]) {
  test(name, async (t) => {
    const world = await openWorld(t, { consistency: hold.kind, hold });
    const writer = await startWriter(t, world.at("one", "."));
    const { primary, shadow, state } = await follow(world, writer);
    const seen = new Set<number>();
    const deadline = Date.now() + 3_000;
    while (Date.now() < deadline) {
      const rounds = await pinnedRounds(state);
      assert.equal(tornness(rounds, quiet), undefined);
      seen.add(rounds[0]!);
      await sleep(2);
    }
    assert.ok(seen.size > 5, `saw ${seen.size} versions`);
    await goesOn(writer, "between two looks");
    await caughtUp(primary, shadow);
    const pauses = primary.pauses()!;
    assert.ok(pauses.count > 5 && pauses.longestMs <= hold.timeoutMs);
    assert.deepEqual(world.errors, []);
    await primary.close();
    await goesOn(writer, "when nobody follows it any more");
  });
}

test("none: files are read while they are written, and say so by what they promise", async (t) => {
  const world = await openWorld(t);
  const writer = await startWriter(t, world.at("one", "."));
  const { state } = await follow(world, writer);
  // Each file settles on what was written; that they belong together is what "none" leaves out.
  for (let look = 0; look < 50; look += 1) {
    const pin = await pinVersion(state);
    assert.equal(readdirSync(pin.path).filter((file) => file.startsWith("f")).length, 4);
    await pin.release();
    await sleep(5);
  }
});

test("the pauses of a freeze keep to their budget, and are announced before", async (t) => {
  const hold: HoldSpec = { kind: "freeze", budget: 0.1, timeoutMs: 800 };
  const world = await openWorld(t, { consistency: "freeze", hold });
  const writer = await startWriter(t, world.at("one", "."));
  const announced: string[] = [];
  const announce = async (silentMs: number, reason: string) => void announced.push(`${reason} ${silentMs}`);
  const { primary } = await follow(world, { ...writer, announce });
  const [before, beganMs] = [primary.pauses()!, performance.now()];
  await sleep(3_000);
  const after = primary.pauses()!;
  const share = (after.totalMs - before.totalMs - after.lastMs) / (performance.now() - beganMs);
  assert.ok(share <= 0.1, `${share} of the time`);
  assert.ok(after.count > before.count);
  assert.ok(announced.length >= after.count);
  assert.equal(announced[0], "freeze 800");
});

for (const hold of [FREEZE, HOOK]) {
  test(`${hold.kind}: a writer goes on when it was held for too long, and that look counts for nothing`, async (t) => {
    const world = await openWorld(t);
    const writer = await startWriter(t, world.at("one", "."));
    const still = await openStill({
      dir: world.stateOf("one").dir,
      workDir: world.dir,
      hold: { ...hold, timeoutMs: 100 },
      writer,
      bootMs: () => performance.now(),
      onError: (error) => assert.fail(error),
    });
    t.after(() => still.close());
    await still.begin();
    const at = writer.rounds();
    await goesOn(writer, `after its time, from ${at}`);
    await assert.rejects(
      still.take(["f0"], () => true),
      { code: "io", message: /did not stand still/ },
    );
  });

  test(`${hold.kind}: a writer goes on when who held it is killed, and when its guardian is as well`, async (t) => {
    const world = await openWorld(t);
    const writer = await startWriter(t, world.at("one", "."));
    const workDir = world.dir;
    const options = {
      dir: world.stateOf("one").dir,
      workDir,
      hold: { ...hold, timeoutMs: 30_000 },
      process: writer.process(),
      address: writer.address,
    };
    const start = async () => {
      const child = spawn(
        process.execPath,
        [join(import.meta.dirname, "hold-process.ts"), JSON.stringify(options)],
        {
          stdio: ["ignore", "pipe", "inherit"],
        },
      );
      t.after(() => child.kill("SIGKILL"));
      await once(child.stdout!, "data");
      await sleep(100);
      return child;
    };
    const first = await start();
    const still = writer.rounds();
    await sleep(100);
    assert.ok(writer.rounds() <= still + 1, "it stands still");
    first.kill("SIGKILL");
    await goesOn(writer, "after the holder's parent was killed");

    const second = await start();
    const guardians = childrenOf(second.pid!);
    assert.equal(guardians.length, 1);
    // Together: one of them alone lets the writer go.
    for (const pid of [second.pid!, ...guardians]) process.kill(pid, "SIGSTOP");
    for (const pid of [...guardians, second.pid!]) process.kill(pid, "SIGKILL");
    const stands = writer.rounds();
    await sleep(200);
    assert.ok(writer.rounds() <= stands + 1, "nobody is left to let it go");
    assert.ok(existsSync(join(workDir, "held.json")));
    assert.equal(await thawStale(join(workDir, "held.json")), true);
    await goesOn(writer, "at the next start");
    assert.equal(await thawStale(join(workDir, "held.json")), false);
  });
}

function childrenOf(parent: number): number[] {
  const text = readFileSync(`/proc/${parent}/task/${parent}/children`, "latin1").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

test("hook: an application that does not become quiet in time is thawed, and nothing torn is sealed", async (t) => {
  const hold: HoldSpec = { ...HOOK, quiesce: http("/stuck"), callMs: 100 } as HoldSpec;
  const world = await openWorld(t, { consistency: "hook", hold });
  const writer = await startWriter(t, world.at("one", "."));
  await assert.rejects(world.primary({ writer }), { code: "io", message: /stuck.*no answer within 100 ms/ });
  await goesOn(writer, "after a quiesce without an answer");
});

test("hook: a program quiesces and thaws, without a shell", async (t) => {
  const world = await openWorld(t);
  const log = join(world.dir, "calls");
  const program = (word: string) => ({
    command: [
      process.execPath,
      "-e",
      `require("fs").appendFileSync(${JSON.stringify(log)}, "${word} " + process.env.NAME + ";")`,
    ],
    http: "",
  });
  const hold: HoldSpec = {
    kind: "hook",
    quiesce: program("quiesce"),
    thaw: program("thaw"),
    callMs: 20_000,
    timeoutMs: 60_000,
  };
  const hooked = await openWorld(t, { consistency: "hook", hold });
  const writer = await startWriter(t, hooked.at("one", "."));
  await hooked.primary({ writer: { ...writer, target: () => ({ address: "", env: { NAME: "$(id)" } }) } });
  assert.match(readFileSync(log, "utf8"), /^quiesce \$\(id\);thaw \$\(id\);/);
});

/** A group lists nobody any more before the kernel has let go of the last one. */
function isRemoved(group: string): boolean {
  try {
    rmdirSync(group);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
    return false;
  }
}

for (const [how, mount] of [
  ["cgroup-v1", "/sys/fs/cgroup/freezer"],
  ["cgroup-v2", "/sys/fs/cgroup"],
  ["cgroup-v2", "/sys/fs/cgroup/unified"],
] as const) {
  test(`freeze: the freezer of a control group where the writer has its own (${how} at ${mount})`, async (t) => {
    const group = `${mount}/understudy-test-${process.pid}`;
    if (how === "cgroup-v2" && !existsSync(join(mount, "cgroup.controllers"))) {
      t.skip(`no version 2 hierarchy at ${mount}`);
      return;
    }
    try {
      mkdirSync(group);
    } catch {
      t.skip(`needs ${mount}, and the right to write to it`);
      return;
    }
    const world = await openWorld(t);
    const writer = await startWriter(t, world.at("one", "."));
    t.after(async () => {
      // Frozen, it would not even die.
      thaw({ how, folder: group });
      writer.child.kill("SIGKILL");
      await until("the group is empty", () => isRemoved(group));
    });
    writeFileSync(join(group, "cgroup.procs"), String(writer.child.pid));
    const frozen = freezeHow(writer.process()!)!;
    assert.deepEqual(frozen, { how, folder: group });
    await freeze(frozen);
    // What it said before is still on its way to us.
    await sleep(200);
    const at = writer.rounds();
    await sleep(100);
    assert.equal(writer.rounds(), at);
    thaw(frozen);
    await goesOn(writer, "after the thaw");
  });
}
