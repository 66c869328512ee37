/** What no single field can tell: names that must exist or be unique, and numbers that must fit together. */

import { APPLICATION_COLUMNS, LIMITED_SIGNALS } from "@understudy/model/metric-names";
import type { Configuration, PoolSpec, ResourceSpec } from "@understudy/model/policy";
import { guess, type Path } from "./configuration-mistakes.ts";

export type Conflict = { readonly path: Path; readonly message: string };

export function checkConfiguration(configuration: Configuration): Conflict[] {
  const { resources, pools, hosts } = configuration;
  return [
    ...checkUnique("resources", resources),
    ...checkUnique("pools", pools),
    ...checkUnique("hosts", hosts),
    ...checkPoolsShared(resources),
    ...checkBackendsShared(pools),
    ...resources.flatMap((resource, index) => checkHosts(resource, { at: ["resources", index], hosts })),
    ...resources.flatMap((resource, index) => checkResource(resource, { at: ["resources", index], pools })),
    ...pools.flatMap((pool, index) => checkPool(pool, ["pools", index])),
  ];
}

function checkUnique(list: string, items: readonly { readonly name: string }[]): Conflict[] {
  return items.flatMap(({ name }, index) => {
    const first = items.findIndex((item) => item.name === name);
    if (first === index) return [];
    return [{ path: [list, index, "name"], message: `"${name}" is the name of ${list}[${first}] already` }];
  });
}

/** A plan is the whole desired state of a pool, so two resources on one pool would undo each other's plans. */
function checkPoolsShared(resources: readonly ResourceSpec[]): Conflict[] {
  return resources.flatMap(({ routing, name }, index) => {
    const first = resources.find((other) => other.routing.pool === routing.pool)!;
    if (first.name === name) return [];
    const message = `pool "${routing.pool}" serves resource "${first.name}" already: give each resource its own`;
    return [{ path: ["resources", index, "routing", "pool"], message }];
  });
}

function checkBackendsShared(pools: readonly PoolSpec[]): Conflict[] {
  const seen = new Map<string, string>();
  return pools.flatMap((pool, index) =>
    (["reads", "writes"] as const).flatMap((side) => {
      const key = `${pool.driver} ${pool.socket} ${pool.backends[side]}`;
      const owner = seen.get(key);
      seen.set(key, owner ?? pool.name);
      if (pool.driver === "memory" || owner === undefined) return [];
      const message = `backend "${pool.backends[side]}" of ${pool.socket} is set by pool "${owner}" already`;
      return [{ path: ["pools", index, "backends", side], message }];
    }),
  );
}

function checkHosts(
  { host, shadows }: ResourceSpec,
  { at, hosts }: { at: Path; hosts: Configuration["hosts"] },
): Conflict[] {
  const names = hosts.map(({ name }) => name);
  const named: [Path, string][] = [
    ...(host === undefined ? [] : [[[...at, "host"], host] as [Path, string]]),
    ...shadows.hosts.map((name, index): [Path, string] => [[...at, "shadows", "hosts", index], name]),
  ];
  const unknown = named.filter(([, name]) => !names.includes(name));
  const twice = named.filter(
    ([path, name], index) =>
      path.length > 3 &&
      named.some(([other, same], earlier) => other.length > 3 && same === name && earlier < index),
  );
  return [
    ...unknown.map(([path, name]) => ({ path, message: `no host is named "${name}"${guess(name, names)}` })),
    ...twice.map(([path, name]) => ({ path, message: `"${name}" is named already` })),
  ];
}

function checkPool(pool: PoolSpec, at: Path): Conflict[] {
  const needsSocket = pool.driver === "haproxy" && pool.socket === "";
  return needsSocket
    ? [{ path: [...at, "socket"], message: "is missing: driver haproxy needs its runtime API socket" }]
    : [];
}

function checkResource(
  resource: ResourceSpec,
  { at, pools }: { at: Path; pools: readonly PoolSpec[] },
): Conflict[] {
  const { shadows, routing, forecast } = resource;
  const conflicts: Conflict[] = [];
  const check = (holds: boolean, path: Path, message: string) => {
    if (!holds) conflicts.push({ path: [...at, ...path], message });
  };
  const pool = pools.find(({ name }) => name === routing.pool);
  const names = pools.map(({ name }) => name);
  check(
    pool !== undefined,
    ["routing", "pool"],
    `no pool is named "${routing.pool}"${guess(routing.pool, names)}`,
  );
  check(shadows.min <= shadows.max, ["shadows", "min"], `${shadows.min} is more than max, ${shadows.max}`);
  check(
    pool === undefined || shadows.max + 1 <= pool.slots,
    ["shadows", "max"],
    `a primary and ${shadows.max} shadows need ${shadows.max + 1} slots, pool "${routing.pool}" has ${pool?.slots}`,
  );
  const leadMs = shadows.createMs + shadows.warmUpMs;
  check(
    forecast.horizonMs >= leadMs,
    ["forecast", "horizonMs"],
    `${forecast.horizonMs} is less than the lead time, createMs + warmUpMs = ${leadMs}: help would come too late`,
  );
  check(
    forecast.horizonMs >= forecast.stepMs,
    ["forecast", "horizonMs"],
    `${forecast.horizonMs} is less than one step, stepMs = ${forecast.stepMs}`,
  );
  return [
    ...conflicts,
    ...checkState(resource, [...at, "state"]),
    ...checkDriver(resource, at),
    ...checkSignals(resource, at),
  ];
}

/** What a driver needs to know, and what it would not look at. */
function checkDriver({ kind, driver, run, container }: ResourceSpec, at: Path): Conflict[] {
  const conflicts: Conflict[] = [];
  const say = (path: Path, message: string) => conflicts.push({ path: [...at, ...path], message });
  const wantedKind = driver === "docker" ? "container" : "process";
  if (driver !== "memory" && kind !== wantedKind)
    say(["kind"], `"${kind}" does not go with driver ${driver}: say ${wantedKind}`);
  if (driver === "docker" && !container)
    say(["container"], "is missing: driver docker needs the container's name, port and stateDir");
  if (driver !== "docker" && container) say(["container"], `is of no use to driver ${driver}`);
  if (driver === "process" && run.command.length === 0)
    say(["run", "command"], "is missing: the program to start, and its arguments");
  if (driver === "docker" && run.command.length > 0)
    say(["run", "command"], "is of no use to driver docker: the image says what runs");
  return conflicts;
}

/** Files do not reach a running program by themselves, and what makes it write no more must be said. */
function checkState({ state, routing }: ResourceSpec, at: Path): Conflict[] {
  const { consistency, onVersion, hook, visible } = state;
  const conflicts: Conflict[] = [];
  const check = (holds: boolean, path: Path, message: string) => {
    if (!holds) conflicts.push({ path: [...at, ...path], message });
  };
  const isFiles = consistency !== "sqlite";
  check(
    !isFiles || onVersion !== undefined || routing.maxShadowShare === 0,
    ["onVersion"],
    `is missing: say how the application sees a new version with consistency ${consistency} (restart, signal, http or reopens), or set routing.maxShadowShare to 0: then its shadows take no reads`,
  );
  check(
    isFiles || onVersion === undefined,
    ["onVersion"],
    "is of no use with consistency sqlite: its readers see each transaction at once",
  );
  check(
    visible.http === "" || isFiles,
    ["visible", "http"],
    "is of no use with consistency sqlite: what is applied is visible",
  );
  for (const step of ["quiesce", "thaw"] as const) {
    const said = [hook[step].command.length > 0, hook[step].http !== ""].filter(Boolean).length;
    if (consistency === "hook")
      check(
        said === 1,
        ["hook", step],
        said === 0
          ? "is missing: consistency hook needs a command or http"
          : "is both a command and http: one of them",
      );
    else check(said === 0, ["hook", step], `is of no use with consistency ${consistency}`);
  }
  return conflicts;
}

function checkSignals({ capacity, metrics }: ResourceSpec, at: Path): Conflict[] {
  const conflicts: Conflict[] = [];
  const application: readonly string[] = APPLICATION_COLUMNS;
  for (const [index, signal] of capacity.signals.entries()) {
    if (application.includes(signal) && !(signal in metrics.map)) {
      const message = `"${signal}" is the application's own: say its metric's name in metrics.map.${signal}`;
      conflicts.push({ path: [...at, "capacity", "signals", index], message });
    }
  }
  if (Object.keys(metrics.map).length > 0 && metrics.path === "") {
    conflicts.push({
      path: [...at, "metrics", "path"],
      message: "is missing: metrics.map needs the endpoint to read",
    });
  }
  return [...conflicts, ...checkLimits(capacity, [...at, "capacity"])];
}

function checkLimits({ signals, limits }: ResourceSpec["capacity"], at: Path): Conflict[] {
  const conflicts: Conflict[] = [];
  for (const signal of LIMITED_SIGNALS) {
    // That of cpuCores stands there by default.
    if (signal === "cpuCores" || limits[signal] === undefined || signals.includes(signal)) continue;
    conflicts.push({
      path: [...at, "limits", signal],
      message: `is of no use: "${signal}" is not in signals`,
    });
  }
  if (!signals.some((signal) => signal === "busyWorkers" || limits[signal] !== undefined)) {
    const message = "none of them has a limit, so none can bind: say one in capacity.limits";
    conflicts.push({ path: [...at, "signals"], message });
  }
  return conflicts;
}
