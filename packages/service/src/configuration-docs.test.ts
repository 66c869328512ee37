import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { REFERENCE_FILE, renderJsonSchema, renderReferenceFile, SCHEMA_FILE } from "./configuration-docs.ts";

const AGAIN = "run: node packages/service/src/configuration-docs.ts";

test("docs/understudy.schema.json is what the schema renders now", () => {
  // As values: Biome may break the lines of the file in other places.
  assert.deepEqual(JSON.parse(readFileSync(SCHEMA_FILE, "utf8")), JSON.parse(renderJsonSchema()), AGAIN);
});

test("the tables in docs/configuration.md are what the schema renders now", () => {
  const present = readFileSync(REFERENCE_FILE, "utf8");
  assert.equal(present, renderReferenceFile(present), AGAIN);
});
