/**
 * What people and editors read about understudy.yaml, rendered from its schema, so that it cannot drift: the JSON schema and
 * the table of fields. Run as a program, it writes both into docs/; a test compares.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { configurationSchema } from "./configuration-schema.ts";

const DOCS = resolve(import.meta.dirname, "../../../docs");
export const SCHEMA_FILE = resolve(DOCS, "understudy.schema.json");
export const REFERENCE_FILE = resolve(DOCS, "configuration.md");
/** Everything below this line of docs/configuration.md is rendered. */
export const REFERENCE_MARK =
  "<!-- Rendered from packages/service/src/configuration-schema.ts: node packages/service/src/configuration-docs.ts -->";

type JsonSchema = {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly description?: string;
  readonly anyOf?: readonly JsonSchema[];
};

export function renderJsonSchema(): string {
  const schema = z.toJSONSchema(configurationSchema, { io: "input" });
  return `${JSON.stringify({ title: "understudy.yaml", ...schema }, null, 2)}\n`;
}

/** One table per group of fields. */
export function renderReference(): string {
  return tablesOf("", z.toJSONSchema(configurationSchema, { io: "input" }) as JsonSchema).join("\n");
}

function tablesOf(at: string, schema: JsonSchema): string[] {
  const fields = Object.entries(schema.properties ?? {});
  if (fields.length === 0) return [];
  const rows = fields.map(([name, field]) => {
    const standard = schema.required?.includes(name) ? "required" : showDefault(field);
    return `| \`${name}\` | ${showType(field)} | ${standard} | ${field.description ?? ""} |`;
  });
  const table = [
    `## ${at || "understudy.yaml"}`,
    "",
    "| field | value | default | meaning |",
    "|---|---|---|---|",
    ...rows,
    "",
  ];
  const inner = fields.flatMap(([name, field]) => {
    const path = at ? `${at}.${name}` : name;
    return field.items ? tablesOf(`${path}[]`, field.items) : tablesOf(path, field);
  });
  return [table.join("\n"), ...inner];
}

function showDefault(field: JsonSchema): string {
  if (field.default === undefined) return "";
  const isGroup = field.type === "object" && field.properties !== undefined;
  return isGroup ? "see below" : `\`${JSON.stringify(field.default)}\``;
}

function showType(field: JsonSchema): string {
  if (field.const !== undefined) return `\`${field.const}\``;
  if (field.enum) return field.enum.map((value) => `\`${value}\``).join(", ");
  if (field.items?.enum) return `list of ${field.items.enum.map((value) => `\`${value}\``).join(", ")}`;
  if (field.anyOf) return "text";
  return TYPE_WORDS[field.type ?? ""] ?? field.type ?? "";
}

const TYPE_WORDS: Record<string, string> = {
  string: "text",
  integer: "whole number",
  number: "number",
  boolean: "true, false",
  array: "list",
  object: "group",
};

/** The whole of docs/configuration.md: what people wrote above the mark, and the tables below it. */
export function renderReferenceFile(present: string): string {
  const above = present.split(REFERENCE_MARK)[0]!.trimEnd();
  return `${above}\n\n${REFERENCE_MARK}\n\n${renderReference()}`;
}

if (import.meta.main) {
  writeFileSync(SCHEMA_FILE, renderJsonSchema());
  writeFileSync(REFERENCE_FILE, renderReferenceFile(readFileSync(REFERENCE_FILE, "utf8")));
}
