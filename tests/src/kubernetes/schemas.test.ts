import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { REPOSITORY } from "../sources.ts";
import { KUSTOMIZATIONS } from "./check.ts";
import { renderKustomization } from "./kustomize.ts";
import { type Json, type Manifest, nameOf } from "./manifest.ts";
import { checkSchema } from "./schemas.ts";

const STRANGER = "understudyStranger";
/** A quantity too, for lists of resources. */
const STRANGER_VALUE = "1";
/** Where a key is the user's own word. */
const FREE = /\/(labels|annotations|matchLabels|nodeSelector|data|stringData|requests|limits|selector)$/;

const all = KUSTOMIZATIONS.flatMap((folder) => renderKustomization(join(REPOSITORY, folder)));
/** One of each kind is enough of it, and the one with most in it. */
const samples = [...Map.groupBy(all, ({ apiVersion, kind }) => `${apiVersion} ${kind}`).values()].map(
  (same) => same.toSorted((a, b) => JSON.stringify(b).length - JSON.stringify(a).length)[0]!,
);

describe("an unknown key is refused wherever it stands", () => {
  for (const manifest of samples)
    test(nameOf(manifest), async () => {
      assert.deepEqual(await checkSchema(manifest), []);
      const places = objectsOf(manifest, "");
      for (const path of places) {
        const changed = structuredClone(manifest);
        const holder = at(changed, path);
        (holder as { [key: string]: Json })[STRANGER] = STRANGER_VALUE;
        // A Service's selector is words of the user's, any other is the schema's.
        const isFree = FREE.test(path) && !(path.endsWith("/selector") && manifest.kind !== "Service");
        const found = await checkSchema(changed);
        if (isFree) assert.deepEqual(found, [], `${path} takes any key`);
        else
          assert.ok(
            found.some((problem) => problem.includes(`${path}/${STRANGER}`)),
            `${nameOf(manifest)}: ${path}: ${found.join()}`,
          );
      }
    });
});

function objectsOf(value: Json, path: string): string[] {
  if (value === null || typeof value !== "object") return [];
  const inner = Object.entries(value).flatMap(([key, each]) =>
    objectsOf(each, `${path}/${key.replaceAll("/", "~1")}`),
  );
  return Array.isArray(value) ? inner : [path, ...inner];
}

function at(root: Json, path: string): Json {
  const keys = path
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/"));
  return keys.reduce<Json>((value, key) => (value as { [key: string]: Json })[key]!, root);
}

function dev(kind: string, change: (manifest: Manifest) => void): Promise<string[]> {
  const manifest = structuredClone(all.find((each) => each.kind === kind)!);
  change(manifest);
  return checkSchema(manifest);
}

test("a value of the wrong type is refused", async () => {
  const found = await dev("Deployment", ({ spec }) => Object.assign(spec as object, { replicas: "two" }));
  assert.match(found.join(), /replicas/);
});

test("a word that is none of a field's is refused", async () => {
  const found = await dev("Deployment", ({ spec }) =>
    Object.assign(spec as object, { strategy: { type: "Sometimes" } }),
  );
  assert.match(found.join(), /strategy\/type/);
});

test("what is required must be there", async () => {
  const found = await dev("Deployment", ({ spec }) => void delete (spec as { selector?: unknown }).selector);
  assert.match(found.join(), /selector/);
});

test("a kind without a schema is refused", async () => {
  const found = await dev("Deployment", (manifest) => Object.assign(manifest, { kind: "Deploiment" }));
  assert.match(found.join(), /no schema/);
});
