/** The process driver over real processes: the contract, and what only processes can do. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ResourceSpec } from "@understudy/model/policy";
import { describeResourceDriver } from "../src/contract.ts";
import type { ResourceDriver, RoleOrder, RunningInstance, StartRequest } from "../src/driver.ts";
import { boundLog, openLog, readLogTail } from "../src/log-file.ts";
import { readLiving, readProcStat } from "../src/proc-stat.ts";
import { openProcessDriver, type ProcessDriverOptions } from "../src/process.ts";

const INSTANCE = join(import.meta.dirname, "instance.ts");
const SHADOW: RoleOrder = { role: "shadow", epoch: 1, untilBootMs: 0 };
const WAIT_MS = 5000;

type Seen = {
  role: RoleOrder;
  environment: Record<string, string>;
  childPid?: number;
  cwd: string;
  signals: string[];
};

async function until<T>(look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  const deadlineMs = performance.now() + WAIT_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(performance.now() < deadlineMs, `nothing after ${WAIT_MS} ms: ${look}`);
    await sleep(5);
  }
}

async function ask(running: RunningInstance): Promise<Seen | undefined> {
  const response = await fetch(`http://${running.address}/`, { headers: { connection: "close" } }).catch(
    () => undefined,
  );
  return response && ((await response.json()) as Seen);
}

function run(command: readonly string[], env: Record<string, string> = {}): ResourceSpec["run"] {
  return { command, env, readyWithinMs: WAIT_MS };
}

/** A folder and a driver; everything started is ended afterwards. */
function scene(spec: ResourceSpec["run"], options: Partial<ProcessDriverOptions> = {}) {
  const dir = mkdtempSync(join(tmpdir(), "understudy-process-"));
  const errors: Error[] = [];
  const drivers: ResourceDriver[] = [];
  const open = async (): Promise<ResourceDriver> => {
    const driver = await openProcessDriver({
      runDir: join(dir, "run"),
      runOf: (resource) => (resource === "catalog" ? spec : undefined),
      environment: process.env,
      onError: (error) => errors.push(error),
      ...options,
    });
    drivers.push(driver);
    return driver;
  };
  const request = (change: Partial<StartRequest> = {}): StartRequest => ({
    resource: "catalog",
    instance: "catalog-1",
    incarnation: "one",
    stateDir: dir,
    role: SHADOW,
    env: {},
    ...change,
  });
  after(async () => {
    const last = await open();
    for (const running of await last.list()) await last.fence(running);
    for (const driver of drivers) await driver.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return { dir, errors, open, request };
}

describeResourceDriver("process", async () => {
  const dir = mkdtempSync(join(tmpdir(), "understudy-contract-"));
  const open = (): Promise<ResourceDriver> =>
    openProcessDriver({
      runDir: join(dir, "run"),
      runOf: (resource) => (resource === "catalog" ? run([process.execPath, INSTANCE]) : undefined),
      environment: process.env,
      onError: (error) => assert.fail(error),
    });
  return {
    open,
    async kill(running) {
      process.kill(running.pid, "SIGKILL");
      await until(() => readLiving(running) === undefined);
    },
    async roleSeenBy(running) {
      if (readLiving(running) === undefined) return undefined;
      return (await until(() => ask(running))).role;
    },
    signalsSeenBy: async (running) => (await ask(running))?.signals ?? [],
    stateDir: async () => dir,
    async close() {
      const last = await open();
      for (const running of await last.list()) await last.fence(running);
      await last.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
});

describe("what an instance is given", { timeout: 30_000 }, () => {
  const secret = {
    ...process.env,
    UNDERSTUDY_RUN: "run-7",
    UNDERSTUDY_REDIS_PASSWORD_FILE: "/secret",
    TOKEN: "secret",
  };
  const { open, request, dir } = scene(run([process.execPath, INSTANCE], { SPEC: "1" }), {
    environment: secret,
  });

  it("is the contract, the spec's and the request's environment, and nothing secret", async () => {
    const driver = await open();
    const running = await driver.start(request({ env: { EXTRA: "2" } }));
    const { environment, cwd } = await until(() => ask(running));
    assert.equal(environment.UNDERSTUDY_RESOURCE, "catalog");
    assert.equal(environment.UNDERSTUDY_INSTANCE, "catalog-1");
    assert.equal(environment.UNDERSTUDY_INCARNATION, "one");
    assert.equal(environment.UNDERSTUDY_STATE_DIR, dir);
    assert.equal(`127.0.0.1:${environment.UNDERSTUDY_PORT}`, running.address);
    assert.equal(environment.UNDERSTUDY_RUN, "run-7");
    assert.deepEqual([environment.SPEC, environment.EXTRA], ["1", "2"]);
    assert.deepEqual([environment.TOKEN, environment.UNDERSTUDY_REDIS_PASSWORD_FILE], [undefined, undefined]);
    assert.equal(cwd, process.cwd());
  });
});

describe("fencing", { timeout: 30_000 }, () => {
  const { open, request } = scene(run([process.execPath, INSTANCE]));

  it("ends children in the group and in other groups of the session", async () => {
    const driver = await open();
    for (const kind of ["group", "session"]) {
      const running = await driver.start(request({ instance: `catalog-${kind}`, env: { WITH_CHILD: kind } }));
      const { childPid } = await until(() => ask(running));
      const family = () => [running.pid, childPid!, ...jobsOf(running.pid)];
      const before = await until(() =>
        kind === "group" || jobsOf(running.pid).length > 2 ? family() : undefined,
      );
      assert.equal((await driver.fence(running)).confirmed, true);
      for (const pid of before) assert.ok(!isRunning(pid), `${pid} of ${kind} still runs`);
    }
  });

  it("ends what a dead leader left behind", async () => {
    const driver = await open();
    const running = await driver.start(request({ instance: "catalog-dead", env: { WITH_CHILD: "group" } }));
    const { childPid } = await until(() => ask(running));
    process.kill(running.pid, "SIGKILL");
    await until(() => readLiving(running) === undefined);
    assert.ok(isRunning(childPid!));
    assert.equal((await driver.fence(running)).confirmed, true);
    assert.ok(!isRunning(childPid!));
  });

  it("ends a stopped process, within a few milliseconds", async () => {
    const driver = await open();
    const running = await driver.start(request({ instance: "catalog-stopped" }));
    process.kill(running.pid, "SIGSTOP");
    await until(() => readProcStat(running.pid)?.state === "T");
    const startedMs = performance.now();
    assert.equal((await driver.fence(running)).confirmed, true);
    assert.ok(performance.now() - startedMs < 500);
  });

  it("never touches a process that has taken over the number", async () => {
    const driver = await open();
    const stranger = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
    const running = await driver.start(request({ instance: "catalog-number" }));
    const stale = {
      ...running,
      pid: stranger.pid!,
      pidStartTicks: readProcStat(stranger.pid!)!.startTicks - 1,
    };
    assert.equal((await driver.fence(stale)).confirmed, true);
    await driver.stop(stale, 50);
    assert.ok(isRunning(stranger.pid!));
    stranger.kill("SIGKILL");
    await once(stranger, "exit");
  });
});

describe("stopping", { timeout: 30_000 }, () => {
  const { open, request, dir } = scene(run([process.execPath, INSTANCE]));

  it("asks first and kills after the grace", async () => {
    const driver = await open();
    const running = await driver.start(request({ env: { IGNORE_TERM: "1" } }));
    await until(() => ask(running));
    await driver.stop(running, 200);
    assert.ok(!isRunning(running.pid));
    assert.match(readFileSync(join(dir, "run/logs/catalog.catalog-1.log"), "utf8"), /not yet/);
    assert.deepEqual(readdirSync(join(dir, "run/roles")), []);
    assert.deepEqual(readdirSync(join(dir, "run/records")), []);
  });
});

describe("a replicator that dies", { timeout: 30_000 }, () => {
  const { open, request, dir, errors } = scene(run([process.execPath, INSTANCE]));

  it("finds a process of which it had only written the intent", async () => {
    const first = await open();
    const running = await first.start(request());
    await first.close();
    const record = join(dir, "run/records/catalog.catalog-1.json");
    writeFileSync(record, JSON.stringify({ ...running, pid: 0, pidStartTicks: 0 }));
    const second = await open();
    assert.deepEqual(await second.list(), [running]);
    await second.fence(running);
  });

  it("ignores a broken record and says which", async () => {
    writeFileSync(join(dir, "run/records/catalog.broken.json"), '{"resource":"catalog"}');
    const driver = await open();
    assert.deepEqual(await driver.list(), []);
    assert.match(errors.map(String).join(), /catalog\.broken\.json ignored: record without instance/);
    rmSync(join(dir, "run/records/catalog.broken.json"));
  });
});

describe("a port that somebody took", { timeout: 30_000 }, () => {
  const wanted = 20_123;
  // The first draw is a port that will be taken between the look and the start.
  const draws = [(wanted - 10_000 + 0.5) / (32_000 - 10_000)];
  let taker: ReturnType<typeof createServer> | undefined;
  const { open, request } = scene(run([process.execPath, INSTANCE]), {
    random: () => draws.shift() ?? Math.random(),
    runOf: () => {
      taker ??= createServer().listen(wanted, "127.0.0.1");
      return run([
        "sh",
        "-c",
        `test $UNDERSTUDY_PORT != ${wanted} || { echo EADDRINUSE; exit 1; }; exec "$0" "$@"`,
        process.execPath,
        INSTANCE,
      ]);
    },
  });
  after(() => taker?.close());

  it("is left for another one", async () => {
    const driver = await open();
    const running = await driver.start(request());
    assert.notEqual(running.address, `127.0.0.1:${wanted}`);
    assert.ok(await until(() => ask(running)));
  });
});

describe("a start that fails", { timeout: 30_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), "understudy-failing-"));
  const notExecutable = join(dir, "data.txt");
  writeFileSync(notExecutable, "");
  chmodSync(notExecutable, 0o600);
  after(() => rmSync(dir, { recursive: true, force: true }));
  const cases = [
    {
      command: ["no-such-program-here"],
      code: "not-found",
      says: /no such program or folder \(no-such-program-here\)/,
    },
    { command: [notExecutable], code: "refused", says: /permission denied/ },
    {
      command: ["sh", "-c", "echo Error: bad flag >&2; exit 3"],
      code: "start-failed",
      says: /code 3: Error: bad flag/,
    },
    { command: [], code: "not-found", says: /no run\.command/ },
  ] as const;
  for (const { command, code, says } of cases) {
    const { open, request, dir: runDir } = scene(run(command));
    it(`says why in one sentence: ${command.join(" ") || "no command"}`, async () => {
      const driver = await open();
      await assert.rejects(driver.start(request()), { name: "ResourceError", code, message: says });
      assert.deepEqual(await driver.list(), []);
      assert.deepEqual(readdirSync(join(runDir, "run/records")), []);
    });
  }

  it("says when the folder of the driver cannot be used", async () => {
    const opened = openProcessDriver({
      runDir: join(notExecutable, "run"),
      runOf: () => undefined,
      environment: {},
      onError: (error) => assert.fail(error),
    });
    await assert.rejects(opened, {
      name: "ResourceError",
      message: /cannot keep records in .*data\.txt\/run: a part of its path is not a folder/,
    });
  });

  it("says when the disk is full", { skip: existsSync("/dev/full") ? false : "no /dev/full" }, async () => {
    const { asResourceError } = await import("../src/start-failure.ts");
    const full = (() => {
      try {
        writeFileSync("/dev/full", "x");
      } catch (error) {
        return error;
      }
      return undefined;
    })();
    const error = asResourceError(full, "cannot start catalog.catalog-1");
    assert.equal(error.code, "disk-full");
    assert.match(error.message, /^cannot start catalog\.catalog-1: the disk is full/);
  });
});

describe("the log of an instance", () => {
  const dir = mkdtempSync(join(tmpdir(), "understudy-log-"));
  after(() => rmSync(dir, { recursive: true, force: true }));

  it("is cut when it is full, and its writer goes on at the start", () => {
    const path = join(dir, "a.log");
    const { fd } = openLog(path);
    writeFileSync(fd, "old ".repeat(100));
    boundLog(path, 100);
    writeFileSync(fd, "new");
    assert.equal(readFileSync(path, "utf8"), "new");
    assert.match(readFileSync(`${path}.1`, "utf8"), /^old old/);
    boundLog(path, 100);
    assert.equal(readFileSync(path, "utf8"), "new");
    assert.equal(readLogTail(path, 0), "new");
    assert.equal(readLogTail(path, 1000), "new");
  });
});

function isRunning(pid: number): boolean {
  const stat = readProcStat(pid);
  return stat !== undefined && stat.state !== "Z" && stat.state !== "X";
}

/** Pids of the session that this leader opened. */
function jobsOf(leader: number): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter(Number.isInteger)
    .filter((pid) => readProcStat(pid)?.session === leader);
}
