import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseScenario, type Runner, runScenario, scenarioTests } from "./scenario.ts";

function counter(): Runner {
  let total = 0;
  return ({ command, args, input }) => {
    if (command === "say") return args.twice ? `${args.text}\n\n${args.text}` : args.text!;
    total += Number(args.by);
    return input ? `${total} "${input}"` : String(total);
  };
}

scenarioTests(join(import.meta.dirname, "testdata"), counter);

function scratchFile(t: { after(end: () => void): void }, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "scenario-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "a.txt");
  writeFileSync(file, text);
  return file;
}

test("another output fails and names the file and the line", async (t) => {
  const file = scratchFile(t, "\n# comment\nadd by=1\n----\n2\n");
  await assert.rejects(runScenario(file, counter()), (error: Error) =>
    error.message.includes(`${file}:3: add`),
  );
});

test("recording writes the outputs of now and keeps comments", async (t) => {
  const file = scratchFile(t, "# A note alone.\n\n# About the step.\nadd by=1\n----\n7\n\nadd by=1\n----\n");
  process.env.UNDERSTUDY_RECORD = "1";
  t.after(() => {
    delete process.env.UNDERSTUDY_RECORD;
  });
  await runScenario(file, counter());
  const recorded = "# A note alone.\n\n# About the step.\nadd by=1\n----\n1\n\nadd by=1\n----\n2\n";
  assert.equal(readFileSync(file, "utf8"), recorded);
  await runScenario(file, counter());
  assert.equal(readFileSync(file, "utf8"), recorded);
});

test("a step without dashes, a bad command and a bad argument are refused with their line", () => {
  assert.throws(() => parseScenario("add by=1\n", "f"), /f:1: the step has no line/);
  assert.throws(() => parseScenario("\n=\n----\n", "f"), /f:2: "=" is not a command/);
  assert.throws(() => parseScenario("add by=1 by=2\n----\n", "f"), /f:1: bad argument "by=2"/);
  assert.throws(() => parseScenario("----\n1\n", "f"), /f:1: no command/);
});
