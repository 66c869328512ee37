/** Reading one line of /proc, from garbage to the strangest command names. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import fc from "fast-check";
import { canRun, listPids, ProcStatFile, parseProcStat, readLiving, readProcStat } from "./proc-stat.ts";

const REST =
  "S 1 42 43 0 -1 4194304 900 0 0 0 7 5 0 0 20 0 11 0 123456 1000000 2500 18446744073709551615 1 1 0 0 0\n";

describe("parseProcStat", () => {
  it("reads a plain line", () => {
    assert.deepEqual(parseProcStat(`42 (node) ${REST}`), {
      pid: 42,
      state: "S",
      group: 42,
      session: 43,
      cpuTicks: 12,
      startTicks: 123456,
      residentPages: 2500,
    });
  });

  it("is not misled by any command name", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 15 }), (command) => {
        assert.equal(parseProcStat(`42 (${command}) ${REST}`)?.startTicks, 123456);
      }),
    );
  });

  it("refuses whatever is not such a line", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const stat = parseProcStat(text);
        assert.ok(stat === undefined || Number.isInteger(stat.pid));
      }),
    );
    assert.equal(parseProcStat("42 (node) S 1 42"), undefined);
    assert.equal(parseProcStat(`42 (node) ${REST.replace("123456", "soon")}`), undefined);
  });
});

describe("reading /proc", () => {
  it("finds this process and its start", () => {
    const stat = readProcStat(process.pid)!;
    assert.equal(stat.pid, process.pid);
    assert.ok(canRun(stat) && stat.residentPages > 0);
    assert.ok(listPids().includes(process.pid));
    assert.deepEqual(readLiving({ pid: process.pid, pidStartTicks: stat.startTicks })?.pid, process.pid);
  });

  it("takes a process with another start for another process", () => {
    const stranger = { pid: process.pid, pidStartTicks: readProcStat(process.pid)!.startTicks + 1 };
    assert.equal(readLiving(stranger), undefined);
    assert.equal(ProcStatFile.open(stranger), undefined);
  });

  it("follows one process through an open file until it is gone", async () => {
    const child = spawn("sleep", ["60"]);
    const pid = child.pid!;
    const file = ProcStatFile.open({ pid, pidStartTicks: readProcStat(pid)!.startTicks })!;
    assert.equal(file.read()?.pid, pid);
    child.kill("SIGSTOP");
    while (file.readState() !== "T") await new Promise((resolve) => setImmediate(resolve));
    assert.equal(file.read()?.state, "T");
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.equal(file.read(), undefined);
    assert.equal(file.readState(), undefined);
    file.close();
    assert.equal(file.read(), undefined);
    assert.equal(readProcStat(pid), undefined);
  });
});
