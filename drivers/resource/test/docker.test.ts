/** The Docker driver on a real engine: the contract, adoption, promotion, fences, and what it refuses. */

import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerSpec, ResourceSpec } from "@understudy/model/policy";
import { describeResourceDriver } from "../src/contract.ts";
import { openDockerDriver } from "../src/docker.ts";
import type { ResourceDriver, RoleOrder, RunningInstance, StartRequest } from "../src/driver.ts";
import { docker, IMAGE, openScene, SOCKET, whyNoEngine } from "./engine.ts";

const WAIT_MS = 30_000;
const PORT = 8080;
const SHADOW: RoleOrder = { role: "shadow", epoch: 1, untilBootMs: 0 };
const PRIMARY: RoleOrder = { role: "primary", epoch: 2, untilBootMs: 9_999_999_999 };
const skip = whyNoEngine();

type Seen = { role: RoleOrder; environment: Record<string, string>; signals: readonly string[] };

async function until<T>(look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  const deadlineMs = performance.now() + WAIT_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(performance.now() < deadlineMs, `nothing after ${WAIT_MS} ms: ${look}`);
    await sleep(20);
  }
}

async function ask({ address }: Pick<RunningInstance, "address">): Promise<Seen | undefined> {
  const signal = AbortSignal.timeout(1000);
  const response = await fetch(`http://${address}/`, { headers: { connection: "close" }, signal }).catch(
    () => undefined,
  );
  return response && ((await response.json()) as Seen);
}

/** A folder, a network, and a container that runs a program of ours on a volume. */
function openStage() {
  const scene = openScene();
  const dir = mkdtempSync(join(tmpdir(), "understudy-docker-"));
  docker("network", "create", "--label", scene.label, scene.name);
  const drivers: ResourceDriver[] = [];
  const spec: ContainerSpec = {
    name: scene.name,
    port: PORT,
    stateDir: "/data",
    network: scene.name,
    roleFile: "",
    onPromote: "role-file",
    takeNames: false,
    checkpoint: "none",
  };
  const runDir = join(dir, "run");
  const make = (...options: readonly string[]) =>
    docker(
      ...["create", "--name", scene.name, "--label", scene.label, "--network", scene.name],
      ...["-v", `${import.meta.dirname}:/app:ro`, "-e", "LISTEN=0.0.0.0", "-e", `UNDERSTUDY_PORT=${PORT}`],
      ...[...options, IMAGE, "node", "/app/instance.ts"],
    );
  return {
    ...scene,
    dir,
    spec,
    runDir,
    run: (...options: readonly string[]) => docker("start", make(...options)),
    make,
    open: async (
      change: Partial<ContainerSpec> = {},
      consistency: ResourceSpec["state"]["consistency"] = "none",
    ) => {
      const state = { paths: ["a"], consistency, tickMs: 100, critical: "in-sync" } as const;
      const driver = await openDockerDriver({
        socket: SOCKET,
        runDir,
        specOf: (resource) =>
          resource === "catalog" ? { container: { ...spec, ...change }, state } : undefined,
        onError: (error) => assert.fail(error),
      });
      drivers.push(driver);
      return driver;
    },
    request: (change: Partial<StartRequest> = {}): StartRequest => {
      const stateDir = join(dir, "state", change.instance ?? "catalog-2");
      mkdirSync(stateDir, { recursive: true });
      const who = { resource: "catalog", instance: "catalog-2", incarnation: "one" };
      return { ...who, stateDir, role: SHADOW, env: {}, ...change };
    },
    close: async () => {
      for (const driver of drivers) await driver.close();
      const manager = join(runDir, "manager");
      scene.close(existsSync(manager) ? readFileSync(manager, "utf8") : undefined);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** By its process: beside a shadow there may be a container that waits, with the same labels. */
function containerOf({ instance, incarnation, pid }: RunningInstance): string {
  const labels = [`understudy.incarnation=${incarnation}`, `understudy.instance=${instance}`];
  const filters = labels.flatMap((label) => ["--filter", `label=${label}`]);
  const ids = docker("ps", "-q", ...filters).split("\n");
  return ids.find((id) => id !== "" && pidOf(id) === pid) ?? "";
}

function networksOf(name: string): string {
  return docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", name);
}

function pidOf(id: string): number {
  try {
    return Number(docker("inspect", "-f", "{{.State.Pid}}", id));
  } catch {
    return 0;
  }
}

if (!skip) {
  describeResourceDriver(
    "docker",
    async () => {
      const stage = openStage();
      stage.run("-v", "/data");
      return {
        open: () => stage.open(),
        kill: async (running) => {
          docker("kill", containerOf(running));
          await until(() => containerOf(running) === "");
        },
        roleSeenBy: async (running) => {
          const seen = await until(async () => (containerOf(running) === "" ? "ended" : ask(running)));
          return seen === "ended" ? undefined : seen.role;
        },
        signalsSeenBy: async (running) => (await ask(running))?.signals ?? [],
        stateDir: async () => stage.request().stateDir,
        close: stage.close,
      };
    },
    { timeoutMs: 300_000, movesOnRestart: true },
  );
}

describe("adopting a container that runs", { skip, timeout: 300_000 }, () => {
  const stage = openStage();
  after(stage.close);

  it("leaves it as it is, its process included, and finds its state where it keeps it", async () => {
    stage.run("-v", "/data", "--restart", "always");
    docker("exec", stage.name, "sh", "-c", "echo content > /data/a");
    const pid = docker("inspect", "-f", "{{.State.Pid}}", stage.name);
    const driver = await stage.open();
    const request = stage.request({ instance: "catalog-1", role: PRIMARY });
    await driver.place!(request);
    const running = await driver.start(request);
    assert.equal(docker("inspect", "-f", "{{.State.Pid}}", stage.name), pid);
    assert.equal(running.pid, Number(pid));
    assert.equal(readFileSync(join(request.stateDir, "a"), "utf8"), "content\n");
    assert.ok(await until(() => ask(running)));
    assert.equal(docker("inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", stage.name), "no");
  });

  it("refuses it to a second manager of the same engine", async () => {
    const other = await openDockerDriver({
      socket: SOCKET,
      runDir: join(stage.dir, "other"),
      specOf: () => ({
        container: stage.spec,
        state: { paths: ["a"], consistency: "none", tickMs: 100, critical: "in-sync" },
      }),
      onError: (error) => assert.fail(error),
    });
    const stateDir = join(stage.dir, "state/other");
    mkdirSync(stateDir);
    await assert.rejects(other.place!({ resource: "catalog", instance: "catalog-1", stateDir }), {
      code: "refused",
      message: /managed by another replicator .* docker volume rm understudy-claim-/,
    });
    await other.close();
  });

  it("makes a shadow of it: same limits and environment, its own state, no ports, a read-only root", async () => {
    const driver = await stage.open({ onPromote: "restart" });
    const request = stage.request();
    writeFileSync(join(request.stateDir, "a"), "mirrored\n");
    const running = await driver.start(request);
    const { environment } = await until(() => ask(running));
    assert.equal(environment.UNDERSTUDY_ROLE, "shadow");
    assert.equal(environment.LISTEN, "0.0.0.0");
    const id = containerOf(running);
    assert.equal(docker("exec", id, "cat", "/data/a"), "mirrored");
    assert.throws(() => docker("exec", id, "sh", "-c", "echo x > /data/a"), /Read-only file system/);
    assert.throws(() => docker("exec", id, "sh", "-c", "echo x > /x"), /Read-only file system/);
  });

  it("keeps a container waiting beside it, in which nothing runs and to which no name leads", async () => {
    const name = "understudy-catalog-2-one-primary";
    const record = join(stage.runDir, "containers", "catalog.catalog-2.json");
    await until(() => readFileSync(record, "utf8").includes('"waiting"'));
    assert.equal(networksOf(name), "{}");
    assert.match(docker("top", name, "-o", "pid,args"), /\/bin\/sh -c read/);
  });

  it("promotes it with one restart: read-write, under the same incarnation, and its end in between is no end", async () => {
    const driver = await stage.open({ onPromote: "restart" });
    const before = (await driver.list()).find(({ instance }) => instance === "catalog-2")!;
    const ends: string[] = [];
    driver.onExit(before, (detail) => ends.push(detail));
    const startedMs = performance.now();
    const now = (await driver.setRole(before, PRIMARY))!;
    const tookMs = performance.now() - startedMs;
    assert.equal(now.incarnation, before.incarnation);
    assert.notEqual(now.pid, before.pid);
    const seen = await until(() => ask(now));
    const answeredMs = performance.now() - startedMs;
    assert.deepEqual([seen.role.role, seen.environment.UNDERSTUDY_ROLE], ["primary", "primary"]);
    const id = containerOf(now);
    assert.equal(docker("inspect", "-f", "{{.Name}}", id), "/understudy-catalog-2-one-primary");
    docker("exec", id, "sh", "-c", "echo written > /data/a");
    assert.equal(readFileSync(join(stage.request().stateDir, "a"), "utf8"), "written\n");
    assert.deepEqual(ends, []);
    docker("kill", id);
    await until(() => ends.length > 0);
    console.log(`promoted by restart in ${tookMs.toFixed(0)} ms, answers after ${answeredMs.toFixed(0)} ms`);
  });

  it("fences the adopted one for good: the engine does not start it again", async () => {
    const driver = await stage.open();
    const running = (await driver.list()).find(({ instance }) => instance === "catalog-1")!;
    const startedMs = performance.now();
    const fenced = await driver.fence(running);
    console.log(`fenced in ${(performance.now() - startedMs).toFixed(0)} ms: ${JSON.stringify(fenced)}`);
    assert.equal(fenced.confirmed, true);
    await sleep(500);
    assert.equal(docker("inspect", "-f", "{{.State.Running}}", stage.name), "false");
  });

  it("starts it again over its own state when there is nobody else", async () => {
    const driver = await stage.open();
    const request = stage.request({ instance: "catalog-1", incarnation: "again", role: PRIMARY });
    const running = await driver.start(request);
    assert.ok(await until(() => ask(running)));
    assert.equal(docker("inspect", "-f", "{{.State.Running}}", stage.name), "true");
  });

  it("makes shadows also when it was removed by hand", async () => {
    const driver = await stage.open();
    const primary = (await driver.list()).find(({ instance }) => instance === "catalog-1")!;
    const ended = new Promise((resolve) => driver.onExit(primary, resolve));
    docker("rm", "-f", stage.name);
    await ended;
    const request = stage.request({ instance: "catalog-3", incarnation: "three" });
    assert.ok(await until(async () => ask(await driver.start(request))));
  });

  it("lets the folder lead back to the volume of the removed one, and starts a primary over it", async () => {
    const driver = await stage.open();
    const request = stage.request({ instance: "catalog-1", incarnation: "made-again", role: PRIMARY });
    const running = await driver.start(request);
    assert.ok(await until(() => ask(running)));
    assert.match(realpathSync(request.stateDir), /volumes/);
  });
});

describe("a promoted shadow with the primary's names", { skip, timeout: 240_000 }, () => {
  const stage = openStage();
  after(stage.close);

  it("is reached under them by others on the network", async () => {
    stage.run("-v", "/data", "--network-alias", "shop");
    const driver = await stage.open({ takeNames: true }, "sqlite");
    const first = stage.request({ instance: "catalog-1", role: PRIMARY });
    await driver.place!(first);
    const primary = await driver.start(first);
    const shadow = await driver.start(stage.request());
    await until(() => ask(shadow));
    assert.equal((await driver.fence(primary)).confirmed, true);
    const now = (await driver.setRole(shadow, PRIMARY)) ?? shadow;
    await until(() => ask(now));
    const script = `fetch("http://shop:${PORT}/").then((r) => r.json()).then((j) => console.log(j.environment.UNDERSTUDY_INSTANCE))`;
    const seen = docker(
      "run",
      "--rm",
      "--label",
      stage.label,
      "--network",
      stage.name,
      IMAGE,
      "node",
      "-e",
      script,
    );
    assert.equal(seen, "catalog-2");
  });
});

describe("a port of the adopted container that somebody took", { skip, timeout: 120_000 }, () => {
  const stage = openStage();
  const taker = createServer();
  after(async () => {
    taker.close();
    await stage.close();
  });

  it("is said with the container's name when it is started again", async () => {
    await new Promise<void>((resolve) => taker.listen(0, "127.0.0.1", resolve));
    const { port } = taker.address() as AddressInfo;
    await new Promise((resolve) => taker.close(resolve));
    stage.run("-v", "/data", "-p", `127.0.0.1:${port}:${PORT}`);
    const driver = await stage.open();
    const request = stage.request({ instance: "catalog-1", role: PRIMARY });
    await driver.place!(request);
    assert.equal((await driver.fence(await driver.start(request))).confirmed, true);
    await until(() => docker("inspect", "-f", "{{.State.Running}}", stage.name) === "false");
    await new Promise<void>((resolve) => taker.listen(port, "127.0.0.1", resolve));
    await assert.rejects(driver.start({ ...request, incarnation: "two" }), {
      code: "refused",
      message: new RegExp(
        `cannot start container ${stage.name}: .*end the program or container that holds the port`,
      ),
    });
  });
});

describe("what others did to the engine meanwhile", { skip, timeout: 240_000 }, () => {
  const stage = openStage();
  after(stage.close);
  const image = `${stage.name}:gone`;

  it("a container that has the name of a shadow, and is not ours, is left alone and named", async () => {
    stage.run("-v", "/data");
    const driver = await stage.open();
    const first = stage.request({ instance: "catalog-1", role: PRIMARY });
    await driver.place!(first);
    await driver.start(first);
    docker("create", "--name", "understudy-catalog-2-one", "--label", stage.label, IMAGE, "true");
    await assert.rejects(driver.start(stage.request()), {
      code: "refused",
      message: /cannot make container understudy-catalog-2-one: .*remove or rename the other container/,
    });
    assert.equal(docker("inspect", "-f", "{{.State.Status}}", "understudy-catalog-2-one"), "created");
    docker("rm", "understudy-catalog-2-one");
  });

  it("memory by CRIU is refused when a container is adopted, with the reason", async () => {
    const driver = await stage.open({ checkpoint: "criu" });
    const request = stage.request({ instance: "catalog-9", role: PRIMARY });
    const says = new RegExp(`container ${stage.name}: checkpoint criu is not available, because `);
    await assert.rejects(driver.place!(request), { code: "refused", message: says });
  });

  it("an image that is gone is named with the container that needs it", async () => {
    docker("commit", stage.name, image);
    docker("rm", "-f", stage.name);
    const own = openStage();
    try {
      docker("tag", image, `${own.name}:gone`);
      docker("rmi", image);
      docker(
        ...["run", "-d", "--name", own.name, "--label", own.label, "--network", own.name, "-v", "/data"],
        ...[`${own.name}:gone`],
      );
      const driver = await own.open();
      const first = own.request({ instance: "catalog-1", role: PRIMARY });
      await driver.place!(first);
      await driver.fence(await driver.start(first));
      docker("rm", "-f", own.name);
      docker("rmi", `${own.name}:gone`);
      await assert.rejects(driver.start(own.request()), {
        code: "not-found",
        message: /cannot make container understudy-catalog-2-one: .*pull or build the image again/,
      });
    } finally {
      await own.close();
    }
  });
});

describe("containers that cannot be protected", { skip, timeout: 120_000 }, () => {
  const cases: { title: string; options: string[]; says: RegExp }[] = [
    { title: "no state", options: [], says: /keeps \/data inside the container itself: put a volume/ },
    {
      title: "state in memory",
      options: ["--tmpfs", "/data"],
      says: /keeps \/data (in memory only|inside the container itself): put a volume/,
    },
    {
      title: "privileged",
      options: ["-v", "/data", "--privileged"],
      says: /is privileged: .*single capabilities/,
    },
    {
      title: "sees the host's processes",
      options: ["-v", "/data", "--pid", "host"],
      says: /sees the host's processes/,
    },
    {
      title: "opted out",
      options: ["-v", "/data", "--label", "understudy.enable=false"],
      says: /label understudy.enable=false/,
    },
  ];
  for (const { title, options, says } of cases) {
    const stage = openStage();
    after(stage.close);
    it(`are refused by name, with the remedy: ${title}`, async () => {
      // Not every test machine may start a privileged one; what it is made as is refused all the same.
      if (title === "privileged") stage.make(...options);
      else stage.run(...options);
      const driver = await stage.open();
      const request = stage.request({ instance: "catalog-1", role: PRIMARY });
      await assert.rejects(driver.place!(request), (error: Error) => {
        assert.match(error.message, new RegExp(`container ${stage.name} `));
        assert.match(error.message, says);
        return true;
      });
    });
  }

  const stage = openStage();
  after(stage.close);
  it("are refused by name, with the remedy: one that does not exist, and one that is stopped", async () => {
    const driver = await stage.open();
    const request = stage.request({ instance: "catalog-1", role: PRIMARY });
    const missing = {
      code: "not-found",
      message: `there is no container ${stage.name}: start it (docker run --name ${stage.name} ...)`,
    };
    await assert.rejects(driver.place!(request), missing);
    await assert.rejects(driver.start(stage.request()), missing);
    stage.run("-v", "/data");
    docker("kill", stage.name);
    await assert.rejects(driver.place!(request), /does not run \(exited\): start it/);
  });
});
