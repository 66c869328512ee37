import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { memoryBus } from "@understudy/bus/memory";
import { publishMessage } from "@understudy/bus/messages";
import { subjectOf, TOPICS } from "@understudy/bus/topics";
import { ConfigSchema } from "@understudy/wire/gen/event";
import { headerToWire } from "@understudy/wire/header";
import fc from "fast-check";
import { followConfiguration, parseConfiguration } from "./configuration.ts";
import { formatMistake } from "./configuration-mistakes.ts";

const GOOD = `resources:
  - name: catalog
    run: { command: [node, main.ts] }
    state: { paths: [catalog.db], consistency: sqlite }
    routing: { pool: web }
pools:
  - name: web
    socket: /run/haproxy/admin.sock
`;

function mistakesIn(text: string): string[] {
  const parsed = parseConfiguration(text, "understudy.yaml");
  assert.equal(parsed.ok, false, "it should have been refused");
  return parsed.ok ? [] : parsed.mistakes.map(formatMistake);
}

test("a short configuration gets every default", () => {
  const parsed = parseConfiguration(GOOD, "understudy.yaml");
  assert(parsed.ok, JSON.stringify(parsed));
  const [catalog] = parsed.configuration.resources;
  assert.equal(catalog?.forecast.policy, "predictive");
  assert.equal(catalog?.state.critical, "in-sync");
  assert.deepEqual(catalog?.routing.reads, ["GET", "HEAD"]);
  assert.deepEqual(parsed.configuration.pools[0]?.backends, { reads: "reads", writes: "writes" });
  assert.deepEqual(parsed.configuration.hosts, []);
});

test("an empty file is an empty configuration", () => {
  assert.deepEqual(parseConfiguration("", "a"), {
    ok: true,
    configuration: { resources: [], pools: [], hosts: [] },
  });
});

test("all mistakes are reported together, each with file, line, field and what was found", () => {
  const text = `resources:
  - name: Catalog
    run: { command: [] }
    state:
      paths: [/etc/passwd]
      consistency: sqlit
    routing: { pool: web, maxShadowShare: 1.5 }
    shadows: { min: two }
    shadow: { max: 3 }
pools:
  - name: web
    sockt: /run/admin.sock
`;
  assert.deepEqual(mistakesIn(text), [
    'understudy.yaml:2: resources[0].name: must be a DNS label: a-z, 0-9 and -, 1 to 63 characters, found "Catalog"',
    "understudy.yaml:3: resources[0].run.command: must have at least 1 entry, found []",
    'understudy.yaml:5: resources[0].state.paths[0]: must be relative, without .., found "/etc/passwd"',
    'understudy.yaml:6: resources[0].state.consistency: must be sqlite or hook or freeze or none, did you mean "sqlite"?, found "sqlit"',
    "understudy.yaml:7: resources[0].routing.maxShadowShare: must be at most 1, found 1.5",
    'understudy.yaml:8: resources[0].shadows.min: must be a number, found "two"',
    'understudy.yaml:9: resources[0].shadow: unknown field, did you mean "shadows"?',
    'understudy.yaml:12: pools[0].sockt: unknown field, did you mean "socket"?',
  ]);
});

test("a missing field is reported at the group that lacks it", () => {
  assert.deepEqual(mistakesIn("resources:\n  - name: catalog\n    routing: { pool: web }\n"), [
    "understudy.yaml:2: resources[0].state: is missing",
  ]);
});

test("each driver is told what it needs, and nothing that it would not look at", () => {
  const withRun = (text: string) =>
    mistakesIn(GOOD.replace("    run: { command: [node, main.ts] }", text)).join("; ");
  const container = "{ name: shop, port: 80, stateDir: /data }";
  assert.match(withRun("    mode: act"), /resources\[0\].run.command: is missing: the program to start/);
  assert.match(
    withRun(`    run: { command: [a] }\n    container: ${container}`),
    /container: is of no use to driver process/,
  );
  assert.match(
    withRun("    kind: container\n    driver: docker"),
    /resources\[0\].container: is missing: driver docker needs/,
  );
  assert.match(
    withRun(`    driver: docker\n    container: ${container}`),
    /kind: "process" does not go with driver docker/,
  );
  const docker = `    kind: container\n    driver: docker\n    container: ${container}`;
  assert.match(withRun(`${docker}\n    run: { command: [a] }`), /run.command: is of no use to driver docker/);
  assert.ok(
    parseConfiguration(GOOD.replace("    run: { command: [node, main.ts] }", docker), "understudy.yaml").ok,
  );
  const root =
    "    kind: container\n    driver: docker\n    container: { name: shop, port: 80, stateDir: / }";
  assert.match(withRun(root), /container.stateDir: must be absolute, without .., and not the root/);
});

test("names must be unique and pools must exist", () => {
  const twice = GOOD.replace("pools:", `${GOOD.split("\n").slice(1, 5).join("\n")}\npools:`).replace(
    "pool: web",
    "pool: wbe",
  );
  assert.deepEqual(mistakesIn(twice), [
    'understudy.yaml:5: resources[0].routing.pool: no pool is named "wbe", did you mean "web"?',
    'understudy.yaml:6: resources[1].name: "catalog" is the name of resources[0] already',
  ]);
});

test("two resources may not share a pool", () => {
  const second = GOOD.split("\n").slice(1, 5).join("\n").replace("catalog", "orders");
  assert.match(
    mistakesIn(GOOD.replace("pools:", `${second}\npools:`)).join(),
    /serves resource "catalog" already/,
  );
});

test("numbers that do not fit together are reported", () => {
  const shadows = "    shadows: { min: 9, max: 8, createMs: 20000, warmUpMs: 1000 }\n";
  assert.deepEqual(mistakesIn(GOOD.replace("pools:", `${shadows}pools:`)), [
    "understudy.yaml:2: resources[0].forecast.horizonMs: 10000 is less than the lead time, createMs + warmUpMs = 21000: help would come too late",
    "understudy.yaml:6: resources[0].shadows.min: 9 is more than max, 8",
    'understudy.yaml:6: resources[0].shadows.max: a primary and 8 shadows need 9 slots, pool "web" has 8',
  ]);
});

test("an application's signal needs its metric's name", () => {
  const capacity = "    capacity: { signals: [cpuCores, busyWorkers] }\n";
  assert.match(mistakesIn(GOOD.replace("pools:", `${capacity}pools:`)).join(), /metrics\.map\.busyWorkers/);
});

test("a limit is of a signal that is fitted, and one signal at least has a limit", () => {
  const withCapacity = (capacity: string) => GOOD.replace("pools:", `    capacity: ${capacity}\npools:`);
  for (const good of [
    "{ signals: [cpuCores, memoryBytes], limits: { memoryBytes: 5e8 } }",
    "{ signals: [cpuCores, memoryBytes], limits: { cpuCores: 2 } }",
    "{ signals: [memoryBytes, busyWorkers] }\n    metrics: { path: /m, map: { busyWorkers: busy } }",
  ])
    assert.equal(parseConfiguration(withCapacity(good), "understudy.yaml").ok, true, good);
  for (const [bad, why] of [
    ["{ signals: [memoryBytes] }", /capacity\.signals: none of them has a limit/],
    [
      "{ limits: { memoryBytes: 5e8 } }",
      /limits\.memoryBytes: is of no use: "memoryBytes" is not in signals/,
    ],
    ["{ limits: { cpuCores: 0 } }", /capacity\.limits\.cpuCores/],
    ["{ limits: { busyWorkers: 8 } }", /capacity\.limits\.busyWorkers/],
  ] as const)
    assert.match(mistakesIn(withCapacity(bad)).join(), why);
});

test("text that is no YAML is refused with its line", () => {
  assert.match(mistakesIn("resources:\n  - name: [\n").join(), /^understudy\.yaml:\d: is no YAML: /);
  assert.match(
    mistakesIn("pools: []\npools: []\n").join(),
    /^understudy\.yaml:2: is no YAML: Map keys must be unique/,
  );
});

test("aliases cannot make a small file a huge value", () => {
  const levels = Array.from(
    { length: 12 },
    (_, level) => `a${level}: &a${level} [${Array(9).fill(level ? `*a${level - 1}` : "x")}]`,
  );
  assert.match(mistakesIn(levels.join("\n")).join(), /alias/i);
});

test("an oversized file is refused before it is parsed", () => {
  assert.match(mistakesIn(`# ${"x".repeat(600_000)}`).join(), /has more than 524288 bytes/);
});

test("no text at all makes the parser throw", () => {
  const fragments = fc.constantFrom(
    "resources:",
    "pools:",
    "  - name: x",
    "\n",
    "{",
    "}",
    "[",
    "&a",
    "*a",
    "!!",
    "null",
    "- ",
    ": ",
    '"',
  );
  const texts = fc.oneof(
    fc.string(),
    fc.array(fragments).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const parsed = parseConfiguration(text, "f");
      return parsed.ok || parsed.mistakes.every((mistake) => mistake.line >= 1 && mistake.message !== "");
    }),
  );
});

test("following skips a wrong configuration, rejects it on the bus, and goes on", async (t) => {
  const bus = memoryBus();
  t.after(() => bus.close());
  const stop = new AbortController();
  const apply = (revision: number, yaml: string) =>
    publishMessage(bus, TOPICS.config, {
      names: [],
      message: create(ConfigSchema, {
        header: headerToWire({ time: { wallMs: 1, counter: 0 }, source: "cli" }),
        revision: BigInt(revision),
        yaml,
      }),
    });
  await apply(1, GOOD);
  const configurations = followConfiguration(bus, stop.signal, "balancer");
  assert.equal((await configurations.next()).value?.resources[0]?.name, "catalog");
  await apply(2, "resources: nonsense");
  await apply(3, GOOD);
  await apply(4, GOOD.replace("name: catalog", "name: orders"));
  assert.equal((await configurations.next()).value?.resources[0]?.name, "orders");
  assert(await bus.last(subjectOf(TOPICS.rejects, "balancer")), "the wrong one was not rejected");
  stop.abort();
  assert.equal((await configurations.next()).done, true);
});

test("the example in examples/understudy.yaml is a good configuration", () => {
  const file = new URL("../../../examples/understudy.yaml", import.meta.url);
  const parsed = parseConfiguration(readFileSync(file, "utf8"), "examples/understudy.yaml");
  assert(parsed.ok, JSON.stringify(parsed));
});

test("a state of files says how its readers see a new version, and a hook what it calls", () => {
  const withState = (text: string) =>
    mistakesIn(GOOD.replace("{ paths: [catalog.db], consistency: sqlite }", text));
  const mistakes = (text: string) =>
    withState(text).map((line) => line.replace(/^.*resources\[0\]\.state\./, ""));
  assert.match(mistakes("{ paths: [data], consistency: none }")[0]!, /^onVersion: is missing: say how/);
  assert.match(
    mistakes("{ paths: [a.db], consistency: sqlite, onVersion: restart }")[0]!,
    /^onVersion: is of no use with consistency sqlite/,
  );
  assert.deepEqual(
    mistakes("{ paths: [data], consistency: hook, onVersion: http, hook: { quiesce: { http: /q } } }"),
    ["hook.thaw: is missing: consistency hook needs a command or http"],
  );
  assert.deepEqual(
    mistakes("{ paths: [data], consistency: freeze, onVersion: signal, hook: { quiesce: { http: /q } } }"),
    ["hook.quiesce: is of no use with consistency freeze"],
  );
});
