/**
 * understudy.yaml: text in, a whole `Configuration` or all of its mistakes out. Services follow the last one that was
 * applied on the bus; one that is wrong changes nothing.
 */

import type { Bus } from "@understudy/bus/bus";
import { followMessages, reject } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Configuration } from "@understudy/model/policy";
import { type Document, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { checkConfiguration } from "./configuration-checks.ts";
import {
  createLocator,
  fieldOf,
  formatMistake,
  type Mistake,
  mistakesOf,
  type Path,
} from "./configuration-mistakes.ts";
import { configurationSchema } from "./configuration-schema.ts";

/** A file of a thousand resources has less; more is a mistake or an attack. */
export const CONFIGURATION_BYTES_MAX = 512 * 1024;
/** YAML's aliases can make a small text a huge value. */
const ALIASES_MAX = 100;
const MISTAKES_MAX = 50;

export type ParsedConfiguration =
  | { readonly ok: true; readonly configuration: Configuration }
  | { readonly ok: false; readonly mistakes: readonly Mistake[] };

export function parseConfiguration(text: string, file: string): ParsedConfiguration {
  if (Buffer.byteLength(text) > CONFIGURATION_BYTES_MAX) {
    return failed([{ file, line: 1, field: "", message: `has more than ${CONFIGURATION_BYTES_MAX} bytes` }]);
  }
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, uniqueKeys: true });
  if (document.errors.length > 0) {
    return failed(document.errors.map((error) => yamlMistake(error, { file, counter })));
  }
  const value = toValue(document);
  if ("message" in value) return failed([{ file, line: 1, field: "", message: value.message }]);
  const locator = createLocator(document, counter);
  const parsed = configurationSchema.safeParse(value.value);
  if (!parsed.success) {
    return failed(mistakesOf(parsed.error.issues, { file, locator, value: value.value, keysAt }));
  }
  const conflicts = checkConfiguration(parsed.data as Configuration);
  if (conflicts.length > 0) {
    return failed(
      conflicts.map(({ path, message }) => ({
        file,
        line: locator.lineOf(path),
        field: fieldOf(path),
        message,
      })),
    );
  }
  return { ok: true, configuration: parsed.data as Configuration };
}

function failed(mistakes: readonly Mistake[]): ParsedConfiguration {
  return { ok: false, mistakes: mistakes.toSorted((a, b) => a.line - b.line).slice(0, MISTAKES_MAX) };
}

function yamlMistake(
  error: { readonly message: string; readonly pos: [number, number] },
  { file, counter }: { file: string; counter: LineCounter },
): Mistake {
  const reason = error.message.split("\n")[0]!.replace(/ at line \d+.*$/, "");
  return { file, line: counter.linePos(error.pos[0]).line, field: "", message: `is no YAML: ${reason}` };
}

/** An empty file is an empty configuration. */
function toValue(document: Document): { value: unknown } | { message: string } {
  try {
    return { value: document.toJS({ maxAliasCount: ALIASES_MAX }) ?? {} };
  } catch (error) {
    return { message: (error as Error).message };
  }
}

/** The fields that a group may have, for "did you mean". */
function keysAt(path: Path): readonly string[] {
  let schema: unknown = configurationSchema;
  for (const part of path) {
    const inner = unwrap(schema);
    if (inner instanceof z.ZodArray) schema = inner.element;
    else if (inner instanceof z.ZodObject) schema = (inner.shape as Record<PropertyKey, unknown>)[part];
    else return [];
  }
  const found = unwrap(schema);
  if (found instanceof z.ZodObject) return Object.keys(found.shape);
  if (found instanceof z.ZodRecord && found.keyType instanceof z.ZodEnum)
    return found.keyType.options.map(String);
  return [];
}

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault ? unwrap(schema.unwrap()) : schema;
}

export type AppliedConfiguration = { readonly yaml: string; readonly configuration: Configuration };

/** The configuration in force, then every change, until the signal aborts. */
export async function* followConfiguration(
  bus: Bus,
  signal: AbortSignal,
  service: string,
): AsyncGenerator<Configuration> {
  for await (const { configuration } of followApplied(bus, signal, service)) yield configuration;
}

/**
 * The same with its text. One that is wrong is rejected on the bus under `service` and skipped: what was in force before
 * stays in force.
 */
export async function* followApplied(
  bus: Bus,
  signal: AbortSignal,
  service: string,
): AsyncGenerator<AppliedConfiguration> {
  let inForce: string | undefined;
  for await (const { subject, message } of followMessages(bus, TOPICS.config, {
    from: "last",
    signal,
    service,
  })) {
    // After a gap the bus repeats the last one.
    if (message.yaml === inForce) continue;
    const parsed = parseConfiguration(message.yaml, `revision ${message.revision}`);
    if (parsed.ok) {
      inForce = message.yaml;
      yield { yaml: message.yaml, configuration: parsed.configuration };
    } else {
      const data = Buffer.from(message.yaml);
      await reject(bus, service, {
        raw: { subject, data },
        reason: parsed.mistakes.map(formatMistake).join("; "),
      });
    }
  }
}
