/** Texts of the kernel and of applications, good and bad. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  locate,
  parseCgroupPaths,
  parseCount,
  parseCpuacctUsage,
  parseCpuStat,
  parseInactiveFile,
  parseIoStat,
  parseOutOfMemoryKills,
  parseServiceBytes,
  parseThrottling,
} from "./cgroup.ts";
import { parseNetDev } from "./network.ts";
import { parseAuxv, readMachineUnits } from "./proc.ts";
import { parsePrometheus } from "./prometheus.ts";

describe("Prometheus text", () => {
  const page = [
    "# HELP app_requests_total Requests.",
    "# TYPE app_requests_total counter",
    'app_requests_total{kind="read",path="/a b"} 10 1700000000000',
    'app_requests_total{kind="write",note="a } \\" b"} 2.5',
    "app_requests_total_created 99",
    "app_busy 3",
    "app_bad NaN",
    "app_infinite +Inf",
    "app_cut{",
    "app_small 1e-3",
    "",
  ].join("\n");
  const wanted = (...names: string[]) => Object.fromEntries(parsePrometheus(page, new Set(names)));

  it("adds up the samples of a name and leaves out other names", () => {
    assert.deepEqual(wanted("app_requests_total", "app_busy", "app_small"), {
      app_requests_total: 12.5,
      app_busy: 3,
      app_small: 1e-3,
    });
  });

  it("leaves out what is not a finite number", () => {
    assert.deepEqual(wanted("app_bad", "app_infinite", "app_cut", "app_none"), {});
  });

  it("reads lines with and without a line end, and survives anything", () => {
    assert.deepEqual([...parsePrometheus("x 1", new Set(["x"]))], [["x", 1]]);
    assert.deepEqual([...parsePrometheus("x\t1\r\n", new Set(["x"]))], [["x", 1]]);
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const value of parsePrometheus(text, new Set(["x", ""])).values())
          assert.ok(Number.isFinite(value));
      }),
    );
  });

  it("finds a sample whatever its labels hold", () => {
    const escaped = (value: string) =>
      value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
    fc.assert(
      fc.property(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), (label, value) => {
        assert.equal(
          parsePrometheus(`x{a="${escaped(label)}"} ${value}\n`, new Set(["x"])).get("x"),
          value + 0,
        );
      }),
    );
  });
});

describe("control groups", () => {
  it("are found in both versions, also on a machine that runs both", () => {
    const text = "9:name=systemd:/\n4:memory:/box/a\n3:cpu,cpuacct:/box/b\n0::/unified/c\n";
    const paths = parseCgroupPaths(text);
    assert.deepEqual(
      [...paths.v1],
      [
        ["name=systemd", "/"],
        ["memory", "/box/a"],
        ["cpu", "/box/b"],
        ["cpuacct", "/box/b"],
      ],
    );
    assert.equal(paths.v2, "/unified/c");
  });

  it("count time in nanoseconds in version 1 and in microseconds in version 2", () => {
    assert.equal(parseCpuacctUsage("2500000000\n"), 2.5);
    assert.equal(parseCpuStat("usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n"), 2.5);
    assert.equal(parseCpuStat("user_usec 2000000\n"), undefined);
  });

  it("tell page cache from memory in use", () => {
    assert.equal(parseCount("4096\n"), 4096);
    assert.equal(parseCount("max\n"), undefined);
    assert.equal(parseInactiveFile("cache 9\ninactive_file 5\ntotal_inactive_file 7\n"), 7);
    assert.equal(parseInactiveFile("anon 1\ninactive_file 5\n"), 5);
    assert.equal(parseInactiveFile("anon 1\n"), undefined);
  });

  it("count bytes read and written over all devices, in both versions", () => {
    const v1 = "8:0 Read 100\n8:0 Write 7\n8:0 Total 107\n8:16 Read 1\nTotal 108\n";
    assert.deepEqual(parseServiceBytes(v1), { read: 101, write: 7 });
    const v2 = "8:0 rbytes=100 wbytes=7 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n";
    assert.deepEqual(parseIoStat(v2), { read: 101, write: 9 });
    assert.deepEqual(parseIoStat(""), { read: 0, write: 0 });
  });

  it("tell throttling and kills for want of memory", () => {
    assert.deepEqual(parseThrottling("nr_periods 10\nnr_throttled 4\nthrottled_time 9\n"), {
      periods: 10,
      throttledPeriods: 4,
    });
    assert.equal(parseOutOfMemoryKills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), 3);
    assert.equal(parseOutOfMemoryKills("low 0\noom 5\noom_kill 2\n"), 2);
  });

  describe("of an instance", () => {
    const own = parseCgroupPaths("4:memory:/me\n2:cpuacct:/\n0::/me\n");
    const at = (text: string, root = "/g") => locate({ own, its: parseCgroupPaths(text), root });

    it("are used in version 1 when they are its own", () => {
      const text = "6:blkio:/box\n4:memory:/box\n2:cpu,cpuacct:/box\n0::/\n";
      assert.deepEqual(at("4:memory:/box\n2:cpuacct:/box\n0::/\n")?.optional, [
        undefined,
        undefined,
        "/g/memory/box/memory.oom_control",
      ]);
      assert.deepEqual(at(text), {
        version: 1,
        optional: [
          "/g/blkio/box/blkio.throttle.io_service_bytes",
          "/g/cpu/box/cpu.stat",
          "/g/memory/box/memory.oom_control",
        ],
        files: [
          "/g/cpuacct/box/cpuacct.usage",
          "/g/memory/box/memory.usage_in_bytes",
          "/g/memory/box/memory.stat",
        ],
      });
    });

    it("are not used when they are the root's or shared with the collector", () => {
      assert.equal(at("4:memory:/me\n2:cpuacct:/box\n"), undefined);
      assert.equal(at("4:memory:/box\n2:cpuacct:/\n"), undefined);
      assert.equal(at("0::/\n"), undefined);
      assert.equal(at("0::/me\n"), undefined);
      assert.equal(at(""), undefined);
    });

    it("are used in version 2, wherever it is mounted", () => {
      const root = mkdtempSync(join(tmpdir(), "understudy-cgroup-"));
      assert.equal(at("0::/box\n", root)?.files[0], join(root, "unified/box/cpu.stat"));
      writeFileSync(join(root, "cgroup.controllers"), "cpu memory\n");
      mkdirSync(join(root, "box"));
      assert.deepEqual(at("0::/box\n", root), {
        version: 2,
        optional: ["io.stat", "cpu.stat", "memory.events"].map((file) => join(root, "box", file)),
        files: [join(root, "box/cpu.stat"), join(root, "box/memory.current"), join(root, "box/memory.stat")],
      });
      mkdirSync(join(root, "system.slice/docker-ab.scope"), { recursive: true });
      // As a collector in a container of its own sees the group of another one.
      const files = at("0::/../docker-ab.scope\n", root)?.files;
      assert.equal(files?.[0], join(root, "system.slice/docker-ab.scope/cpu.stat"));
      rmSync(root, { recursive: true });
    });
  });
});

describe("other texts of the kernel", () => {
  it("give bytes of all interfaces but the loopback", () => {
    const text = [
      "Inter-|   Receive                                                |  Transmit",
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop",
      "    lo: 1000 1 0 0 0 0 0 0 1000 1 0 0 0 0 0 0",
      "  eth0: 20 1 0 0 0 0 0 0 30 1 0 0 0 0 0 0",
      "  eth1:5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0",
      "",
    ].join("\n");
    assert.deepEqual(parseNetDev(text), { receiveBytes: 25, transmitBytes: 37 });
    assert.deepEqual(parseNetDev(""), { receiveBytes: 0, transmitBytes: 0 });
  });

  it("give the units of this machine, and usual ones when they say nothing", () => {
    assert.deepEqual(parseAuxv(Buffer.alloc(5)), { pageBytes: 4096, ticksPerSecond: 100 });
    const { pageBytes, ticksPerSecond } = readMachineUnits();
    assert.ok(pageBytes >= 4096 && Number.isInteger(Math.log2(pageBytes)));
    assert.ok(ticksPerSecond >= 24 && ticksPerSecond <= 10_000);
  });
});
