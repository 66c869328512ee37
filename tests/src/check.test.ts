import assert from "node:assert/strict";
import { test } from "node:test";
import { checkImports } from "./import-direction.ts";
import { importsOf } from "./sources.ts";

function verdict(path: string, specifier: string): string {
  return checkImports([{ path, imports: [specifier] }]).join();
}

test("imports are found in every form, types too, and nothing else is", () => {
  // Put together from parts, or this file would seem to import all of it.
  const text = [
    'import a from "a";',
    'import { b,\n  c } from "b";',
    'import type { D } from "d";',
    'import "e";',
    'export { f } from "f";',
    `  const g = await ${"import"}("g");`,
    '  message: "taken from", text: "x"',
  ].join("\n");
  assert.deepEqual(importsOf(text), ["a", "b", "d", "e", "f", "g"]);
});

test("imports that point down are allowed", () => {
  assert.equal(verdict("packages/model/src/a.ts", "./b.ts"), "");
  assert.equal(verdict("packages/bus/src/a.ts", "@understudy/model/b"), "");
  assert.equal(verdict("drivers/traffic/src/a.ts", "@understudy/model/b"), "");
  assert.equal(verdict("services/balancer/src/a.ts", "@understudy/traffic/b"), "");
  assert.equal(verdict("cli/src/a.ts", "@understudy/testkit/b"), "");
  assert.equal(verdict("packages/bus/test/a.test.ts", "@understudy/testkit/b"), "");
});

test("imports that point up, sideways or around the name are refused", () => {
  assert.match(verdict("packages/model/src/a.ts", "@understudy/bus/b"), /a model may not import a package/);
  assert.match(
    verdict("packages/bus/src/a.ts", "@understudy/traffic/b"),
    /a package may not import a driver/,
  );
  assert.match(
    verdict("drivers/traffic/src/a.ts", "@understudy/resource/b"),
    /drivers do not import each other/,
  );
  assert.match(
    verdict("services/health/src/a.ts", "@understudy/balancer/b"),
    /services never import each other/,
  );
  assert.match(verdict("services/health/src/a.ts", "../../balancer/src/b.ts"), /imported by its name/);
  assert.match(
    verdict("services/health/src/a.ts", "@understudy/cli/b"),
    /a service may not import a program/,
  );
  assert.match(verdict("services/health/src/a.ts", "@understudy/testkit/b"), /only cli, bench, tests/);
});
