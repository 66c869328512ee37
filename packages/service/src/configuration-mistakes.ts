/** A mistake in understudy.yaml, with its place: from zod's issues and a YAML tree to file, line, field and what was found. */

import { type Document, isMap, isNode, isScalar, type LineCounter, type Pair } from "yaml";
import type { z } from "zod";

export type Mistake = {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** "resources[0].shadows.min"; empty: the file as a whole. */
  readonly field: string;
  readonly message: string;
};

export type Path = readonly PropertyKey[];

const FOUND_CHARACTERS_MAX = 60;
const GUESS_DISTANCE_MAX = 3;

export function formatMistake({ file, line, field, message }: Mistake): string {
  return `${file}:${line}: ${field ? `${field}: ` : ""}${message}`;
}

/** Says where things are in one parsed file. */
export type Locator = {
  lineOf(path: Path): number;
  /** Line of the key itself, for a key that should not be there. */
  keyLineOf(path: Path, key: string): number;
};

export function createLocator(document: Document, counter: LineCounter): Locator {
  const lineAt = (offset: number | undefined) => (offset === undefined ? 1 : counter.linePos(offset).line);
  return {
    lineOf(path) {
      for (let length = path.length; length > 0; length -= 1) {
        const pair = pairAt(document, path.slice(0, length));
        const node = document.getIn(path.slice(0, length), true);
        if (pair && isNode(pair.key)) return lineAt(pair.key.range?.[0]);
        if (isNode(node)) return lineAt(node.range?.[0]);
      }
      return lineAt(document.contents?.range?.[0]);
    },
    keyLineOf(path, key) {
      const pair = pairAt(document, [...path, key]);
      return isNode(pair?.key) ? lineAt(pair.key.range?.[0]) : this.lineOf(path);
    },
  };
}

function pairAt(document: Document, path: Path): Pair | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(parent)) return undefined;
  return parent.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(path.at(-1)));
}

/** What zod refused, in our words. One issue about several unknown keys becomes one mistake for each. */
export function mistakesOf(
  issues: readonly z.core.$ZodIssue[],
  {
    file,
    locator,
    value,
    keysAt,
  }: { file: string; locator: Locator; value: unknown; keysAt: (path: Path) => readonly string[] },
): Mistake[] {
  return issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        file,
        line: locator.keyLineOf(issue.path, key),
        field: fieldOf([...issue.path, key]),
        message: `unknown field${guess(key, keysAt(issue.path))}`,
      }));
    }
    const found = valueAt(value, issue.path);
    const message = found === undefined ? "is missing" : `${messageOf(issue, found)}, found ${show(found)}`;
    return [{ file, line: locator.lineOf(issue.path), field: fieldOf(issue.path), message }];
  });
}

function messageOf(issue: z.core.$ZodIssue, found: unknown): string {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${TYPE_WORDS[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `must be ${issue.values.map((value) => String(value)).join(" or ")}${guessValue(found, issue.values)}`;
    case "too_small":
      return limit(issue.origin, { word: issue.inclusive ? "at least" : "more than", bound: issue.minimum });
    case "too_big":
      return limit(issue.origin, { word: issue.inclusive ? "at most" : "less than", bound: issue.maximum });
    case "invalid_union":
      return issue.errors[0]?.[0]?.message ?? "is not allowed";
    case "invalid_key":
      return "has a key that is no name";
    default:
      return issue.message.startsWith("must") ? issue.message : `is not allowed (${issue.message})`;
  }
}

const TYPE_WORDS: Record<string, string> = {
  int: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
  array: "a list",
  object: "a group of fields",
  record: "a group of fields",
};

function limit(origin: string, { word, bound }: { word: string; bound: number | bigint }): string {
  if (origin === "string") return `must have ${word} ${bound} character${bound === 1 ? "" : "s"}`;
  if (origin === "array") return `must have ${word} ${bound} ${bound === 1 ? "entry" : "entries"}`;
  return `must be ${word} ${bound}`;
}

export function fieldOf(path: Path): string {
  return path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`))
    .join("")
    .replace(/^\./, "");
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part], value);
}

function show(found: unknown): string {
  const text = JSON.stringify(found) ?? String(found);
  return text.length > FOUND_CHARACTERS_MAX ? `${text.slice(0, FOUND_CHARACTERS_MAX)}...` : text;
}

function guessValue(found: unknown, values: readonly unknown[]): string {
  return typeof found === "string" ? guess(found, values.map(String)) : "";
}

/** `, did you mean "slots"?` when one of the known words is near enough. */
export function guess(word: string, known: readonly string[]): string {
  const near = known
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(
      ({ candidate, distance }) => distance <= Math.min(GUESS_DISTANCE_MAX, Math.ceil(candidate.length / 2)),
    )
    .sort((a, b) => a.distance - b.distance)[0];
  return near ? `, did you mean "${near.candidate}"?` : "";
}

/** Levenshtein's distance, one row at a time. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
