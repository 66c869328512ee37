/** Each probe against real programs: working, busy, wrong, silent, stopped, gone. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, before, describe, it } from "node:test";
import { waitFor } from "@understudy/testkit/wait";
import { type Probe, repeatProbe } from "../src/probe.ts";
import { execProbe } from "../src/probe-exec.ts";
import { httpProbe } from "../src/probe-http.ts";
import { tcpProbe } from "../src/probe-tcp.ts";
import { ProcessWatch, pollMs } from "../src/process.ts";
import type { ProbeOutcome, Signal } from "../src/signal.ts";
import { type Started, startInstance } from "./start-instance.ts";

const TIMEOUT_MS = 200;
const WITHIN_MS = 5000;
/** Where nobody listens: the port is of a server that was closed. */
let deadAddress: string;
let instance: Started;

const once1 = (probe: Probe, timeoutMs = TIMEOUT_MS): Promise<ProbeOutcome> =>
  probe({ timeoutMs, signal: AbortSignal.timeout(WITHIN_MS) });

before(async () => {
  instance = await startInstance();
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(address && typeof address === "object");
  deadAddress = `127.0.0.1:${address.port}`;
  await new Promise((resolve) => server.close(resolve));
});
after(() => instance.end());

describe("the HTTP probe", { timeout: 30_000 }, () => {
  const cases = [
    ["/200", "good"],
    ["/204", "good"],
    ["/302", "good"],
    ["/503", "busy"],
    ["/429", "busy"],
    ["/425", "busy"],
    ["/500", "wrong"],
    ["/404", "wrong"],
  ] as const;
  for (const [path, kind] of cases) {
    it(`finds ${path} ${kind}, again and again over one connection`, async () => {
      const probe = httpProbe(instance.address, path);
      for (let round = 0; round < 3; round += 1) assert.equal((await once1(probe, WITHIN_MS)).kind, kind);
      probe.close();
    });
  }

  it("finds silence late but connected", async () => {
    const probe = httpProbe(instance.address, "/silent");
    const outcome = await once1(probe);
    assert.deepEqual(outcome, {
      kind: "late",
      detail: `accepted the connection, no answer within ${TIMEOUT_MS} ms`,
      connected: true,
    });
    probe.close();
  });

  it("finds a port without a listener refused", async () => {
    const probe = httpProbe(deadAddress, "/200");
    assert.equal((await once1(probe, WITHIN_MS)).kind, "refused");
    probe.close();
  });

  it("takes a dropped connection for load, not for death", async () => {
    const rude = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
    await once(rude, "listening");
    const address = rude.address();
    assert.ok(address && typeof address === "object");
    const probe = httpProbe(`127.0.0.1:${address.port}`, "/200");
    assert.equal((await once1(probe, WITHIN_MS)).kind, "busy");
    probe.close();
    rude.close();
  });
});

describe("the TCP probe", { timeout: 30_000 }, () => {
  it("finds a listener good, whatever it would answer", async () => {
    assert.equal((await once1(tcpProbe(instance.address), WITHIN_MS)).kind, "good");
  });

  it("finds a port without a listener refused", async () => {
    assert.equal((await once1(tcpProbe(deadAddress), WITHIN_MS)).kind, "refused");
  });

  it("finds a stopped program alive: its kernel takes the connection", async () => {
    const stopped = await startInstance();
    stopped.child.kill("SIGSTOP");
    assert.equal((await once1(tcpProbe(stopped.address), WITHIN_MS)).kind, "good");
    const probe = httpProbe(stopped.address, "/200");
    const outcome = await once1(probe);
    assert.ok(outcome.kind === "late" && outcome.connected);
    probe.close();
    await stopped.end();
  });
});

describe("the exec probe", { timeout: 30_000 }, () => {
  const target = { resource: "catalog", instance: "catalog-1", address: "127.0.0.1:4000" };
  const environment = { ...process.env, SECRET: "x" };
  const run = (script: string, timeoutMs = WITHIN_MS): Promise<ProbeOutcome> =>
    once1(execProbe(["sh", "-c", script], target, environment), timeoutMs);

  it("goes by the exit code, and never calls a failing script evidence of death", async () => {
    assert.equal((await run("exit 0")).kind, "good");
    assert.equal((await run("exit 1")).kind, "busy");
    assert.equal((await run("kill -9 $$")).kind, "late");
    assert.equal((await once1(execProbe(["no-such-program"], target, environment), WITHIN_MS)).kind, "late");
  });

  it("knows which instance it is about, and no secret", async () => {
    const knows =
      'test "$UNDERSTUDY_ADDRESS $UNDERSTUDY_INSTANCE" = "127.0.0.1:4000 catalog-1" && test -z "$SECRET"';
    assert.equal((await run(knows)).kind, "good");
  });

  it("ends with its time, together with its children", async () => {
    const marker = `${process.pid}.${Date.now() % 100_000}`;
    assert.equal((await run(`sleep ${marker} & sleep ${marker}`, TIMEOUT_MS)).kind, "late");
    const { execFileSync } = await import("node:child_process");
    await waitFor(
      () =>
        !execFileSync("ps", ["-eo", "stat,args"])
          .toString()
          .split("\n")
          .some((line) => line.includes(`sleep ${marker}`) && !line.startsWith("Z")),
      { withinMs: WITHIN_MS, what: "the end of the probe's children" },
    );
  });
});

describe("repeating a probe", { timeout: 30_000 }, () => {
  it("never runs two at once, and stops when it is closed", async () => {
    let running = 0;
    let most = 0;
    const outcomes: ProbeOutcome[] = [];
    const slow: Probe = async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 25));
      running -= 1;
      return { kind: "good", detail: "" };
    };
    const probing = repeatProbe(slow, {
      intervalMs: 5,
      timeoutMs: 1000,
      onOutcome: (outcome) => outcomes.push(outcome),
    });
    await waitFor(() => outcomes.length >= 3, { withinMs: WITHIN_MS });
    probing.close();
    const seen = outcomes.length;
    await waitFor(() => running === 0, { withinMs: WITHIN_MS });
    assert.deepEqual([most, outcomes.length], [1, seen]);
  });

  it("drops a time-out that our own delay explains", async () => {
    const outcomes: ProbeOutcome[] = [];
    const blocked: Probe = async () => {
      const untilMs = performance.now() + 150;
      while (performance.now() < untilMs) Math.sqrt(2);
      return { kind: "late", detail: "", connected: false };
    };
    let asked = 0;
    const counted: Probe = (limits) => {
      asked += 1;
      return blocked(limits);
    };
    const probing = repeatProbe(counted, {
      intervalMs: 5,
      timeoutMs: 10,
      onOutcome: (outcome) => outcomes.push(outcome),
    });
    await waitFor(() => asked >= 3, { withinMs: WITHIN_MS });
    probing.close();
    assert.deepEqual(outcomes, []);
  });
});

describe("watching a process", { timeout: 30_000 }, () => {
  it("sees it run, stop, go on and go", async () => {
    const target = await startInstance();
    const seen: string[] = [];
    // Counted in turns of a timer like its own, not in ms: a busy machine is late with both.
    let turns = 0;
    const timer = setInterval(() => (turns += 1), pollMs(1));
    const at = new Map<string, number>();
    const watch = new ProcessWatch().watch(target, (signal: Signal) => {
      assert.equal(signal.from, "process");
      if (signal.from !== "process" || signal.condition === seen.at(-1)) return;
      seen.push(signal.condition);
      at.set(signal.condition, turns);
    });
    const saw = (condition: string) =>
      waitFor(() => seen.at(-1) === condition, { withinMs: WITHIN_MS, everyMs: 1, what: condition });
    await saw("running");
    target.child.kill("SIGSTOP");
    await saw("stopped");
    target.child.kill("SIGCONT");
    await saw("running");
    const killed = turns;
    process.kill(target.pid, "SIGKILL");
    await saw("gone");
    clearInterval(timer);
    assert.ok(at.get("gone")! - killed <= 3, `the death was seen after ${at.get("gone")! - killed} turns`);
    watch.close();
    await target.end();
  });

  it("finds a process with another start gone", () => {
    const seen: Signal[] = [];
    const stranger = { pid: instance.pid, pidStartTicks: instance.pidStartTicks + 1 };
    new ProcessWatch().watch(stranger, (signal) => seen.push(signal)).close();
    assert.ok(seen[0]?.from === "process" && seen[0].condition === "gone");
  });
});

it("many processes are looked at less often, so that the looks are bounded", () => {
  assert.deepEqual([1, 40, 41, 100, 1_000].map(pollMs), [20, 20, 20.5, 50, 500]);
});
