/** The package as a stranger gets it: packed, installed in an empty folder without the network, and run. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
const TOOLS = join(PACKAGE, "../../node_modules/.bin");
const USE = `
import { createForecaster, restoreForecaster } from "@understudy/forecast";
const forecaster = createForecaster({ stepMs: 1000, horizons: [1, 5], quantiles: [0.5, 0.95] });
for (let step = 0; step < 60; step += 1) forecaster.observe(step * 1000, 100 + (step % 5));
const restored = restoreForecaster(forecaster.snapshot());
console.log(JSON.stringify(restored.forecast()));
`;

test("packs, installs in an empty folder and runs there, with its declarations", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "understudy-forecast-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const run = (program: string, args: readonly string[], cwd: string) =>
    execFileSync(program, args, {
      cwd,
      encoding: "utf8",
      env: { ...process.env, PATH: [TOOLS, dirname(process.execPath), process.env.PATH].join(delimiter) },
    });
  // A copy is packed: the repository's package.json must not change under those who use it meanwhile.
  const sources = join(folder, "sources");
  cpSync(PACKAGE, sources, { recursive: true, filter: (path) => !path.includes("node_modules") });
  const packed = run("npm", ["pack", "--silent", "--pack-destination", folder], sources)
    .trim()
    .split("\n")
    .at(-1)!;
  assert.deepEqual(
    readFileSync(join(sources, "package.json"), "utf8"),
    readFileSync(join(PACKAGE, "package.json"), "utf8"),
  );
  const user = join(folder, "user");
  mkdirSync(user);
  writeFileSync(join(user, "package.json"), '{ "type": "module" }');
  writeFileSync(join(user, "use.js"), USE);
  run("npm", ["install", "--silent", "--offline", "--no-audit", join(folder, packed)], user);
  const forecast = JSON.parse(run(process.execPath, ["use.js"], user));
  assert.equal(forecast.ready, true);
  assert.equal(forecast.horizons.length, 2);
  const installed = join(user, "node_modules/@understudy/forecast");
  assert.ok(existsSync(join(installed, "dist/forecaster.d.ts")));
  assert.ok(!existsSync(join(installed, "src")));
});
