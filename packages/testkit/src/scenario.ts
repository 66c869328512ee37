/**
 * Scenario files: what a core did, as text that a person reviews. A file is a list of steps; each is a command line with
 * `key=value` arguments, perhaps some lines of input, a line of dashes, and what came out, up to an empty line:
 *
 *     # The primary dies while its only shadow is behind.
 *     verdict instance=catalog-1 state=down at=1200
 *     ----
 *     claim epoch=2
 *
 * `UNDERSTUDY_RECORD=1` writes down what comes out now, so that a change of behaviour is reviewed as a diff.
 * (The form follows etcd's datadriven tests.)
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TestkitError } from "./error.ts";

export type Step = {
  readonly command: string;
  readonly args: Readonly<Record<string, string>>;
  /** Lines between the command and the dashes. */
  readonly input: string;
};

/** Performs a step and returns what to compare; one is made for each file. */
export type Runner = (step: Step) => string | Promise<string>;

type ParsedStep = Step & {
  readonly head: readonly string[];
  readonly expected: string;
  readonly line: number;
};

const DASHES = "----";
const WORD = /^[A-Za-z][\w.-]*$/;

/** One test for each `*.txt` file of the folder, named after it. */
export function scenarioTests(folder: string, createRunner: () => Runner): void {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".txt"))
    .sort();
  if (files.length === 0) throw new TestkitError("bad-scenario", `${folder} has no scenario (*.txt)`);
  for (const file of files) {
    const title = file.slice(0, -".txt".length).replaceAll("-", " ");
    test(`scenario: ${title}`, () => runScenario(join(folder, file), createRunner()));
  }
}

/** Runs one file and compares each step, or records it. */
export async function runScenario(path: string, runner: Runner): Promise<void> {
  const text = readFileSync(path, "utf8");
  const steps = parseScenario(text, path);
  const outputs: string[] = [];
  for (const step of steps) outputs.push(clean(await runner(step)));
  if (process.env.UNDERSTUDY_RECORD === "1") {
    writeFileSync(path, renderScenario(text, steps, outputs));
    return;
  }
  for (const [index, step] of steps.entries()) {
    assert.equal(outputs[index], step.expected, `${path}:${step.line}: ${step.command}`);
  }
}

/** Trailing spaces go and empty lines become "." so that output survives the file's own form. */
function clean(output: string): string {
  const lines = output.split("\n").map((line) => line.trimEnd());
  while (lines.at(-1) === "") lines.pop();
  return lines.map((line) => line || ".").join("\n");
}

export function parseScenario(text: string, path: string): ParsedStep[] {
  const steps: ParsedStep[] = [];
  for (const block of blocksOf(text)) {
    const comments = block.lines.findIndex((line) => !line.startsWith("#"));
    if (comments === -1) continue;
    const dashes = block.lines.indexOf(DASHES);
    const line = block.line + comments;
    if (dashes === -1)
      throw new TestkitError("bad-scenario", `${path}:${line}: the step has no line "${DASHES}"`);
    if (dashes <= comments)
      throw new TestkitError("bad-scenario", `${path}:${line}: no command before "${DASHES}"`);
    steps.push({
      ...parseCommand(block.lines[comments]!, `${path}:${line}`),
      input: block.lines.slice(comments + 1, dashes).join("\n"),
      head: block.lines.slice(0, dashes + 1),
      expected: block.lines.slice(dashes + 1).join("\n"),
      line,
    });
  }
  return steps;
}

function blocksOf(text: string): { line: number; lines: string[] }[] {
  const blocks: { line: number; lines: string[] }[] = [];
  let open: { line: number; lines: string[] } | undefined;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trimEnd();
    if (line === "") open = undefined;
    else if (open) open.lines.push(line);
    else {
      open = { line: index + 1, lines: [line] };
      blocks.push(open);
    }
  }
  return blocks;
}

function parseCommand(line: string, where: string): { command: string; args: Record<string, string> } {
  const [command = "", ...words] = line.match(/(?:[^\s"]|"[^"]*")+/g) ?? [];
  if (!WORD.test(command)) throw new TestkitError("bad-scenario", `${where}: "${command}" is not a command`);
  const args: Record<string, string> = {};
  for (const word of words) {
    const split = word.indexOf("=");
    const key = split === -1 ? word : word.slice(0, split);
    if (!WORD.test(key) || key in args)
      throw new TestkitError("bad-scenario", `${where}: bad argument "${word}"`);
    args[key] = split === -1 ? "true" : word.slice(split + 1).replaceAll('"', "");
  }
  return { command, args };
}

/** The file with new outputs; comments between steps stay where they are. */
function renderScenario(text: string, steps: readonly ParsedStep[], outputs: readonly string[]): string {
  const rendered = new Map(
    steps.map((step, index) => [
      step.line,
      [...step.head, ...(outputs[index] ? [outputs[index]] : [])].join("\n"),
    ]),
  );
  const blocks = blocksOf(text).map((block) => {
    const comments = block.lines.findIndex((line) => !line.startsWith("#"));
    return rendered.get(block.line + comments) ?? block.lines.join("\n");
  });
  return `${blocks.join("\n\n")}\n`;
}
