import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

/** What a process that runs this text with a log says on standard error, line by line. */
function linesOf(text: string): Record<string, unknown>[] {
  const imports = `
    import { INVALID_SPAN_CONTEXT, ROOT_CONTEXT, trace } from "@opentelemetry/api";
    import { openLog } from ${JSON.stringify(new URL("./log.ts", import.meta.url).href)};
    const log = openLog("app", "info");
    const within = (ids) => trace.setSpanContext(ROOT_CONTEXT, { ...INVALID_SPAN_CONTEXT, ...ids });`;
  const cwd = new URL(".", import.meta.url).pathname;
  const args = ["--input-type=module", "--eval", imports + text];
  const { stderr } = spawnSync(process.execPath, args, { cwd, encoding: "utf8" });
  return stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("a line carries the ids of its trace, and none of a span that telemetry does not know", () => {
  const [traceId, spanId] = ["a".repeat(32), "b".repeat(16)];
  const [known, unknown] = linesOf(`
    log.info("known", { trace: within(${JSON.stringify({ traceId, spanId })}) });
    log.info("unknown", { trace: within({}) });`);
  assert.equal(known?.msg, "known");
  assert.deepEqual([known?.traceId, known?.spanId], [traceId, spanId]);
  assert.equal(unknown?.msg, "unknown");
  assert.ok(!("traceId" in unknown!));
});

test("an error is written with its causes", () => {
  const [line] = linesOf(`log.warn("failed", { error: new Error("outer", { cause: new Error("inner") }) });`);
  assert.equal(line?.error, "outer: inner");
});
