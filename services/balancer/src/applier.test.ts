import assert from "node:assert/strict";
import { test } from "node:test";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { waitFor } from "@understudy/testkit/wait";
import { type Applied, DriverError, type Plan, type TrafficDriver } from "@understudy/traffic/driver";
import { type Answer, openApplier } from "./applier.ts";

const WITHIN = { withinMs: 5_000 };
const SILENT = {
  applying: () => trace.getTracer("test").startSpan("apply"),
  applied: () => undefined,
  applyFailed: () => undefined,
} as unknown as Parameters<typeof openApplier>[0]["instruments"];

const plan = (revision: number): Plan => ({ pool: "web", epoch: 1, revision, targets: [] });

/** A load balancer that writes down what it is told, and fails while `broken` is set. */
function recording() {
  const told: number[] = [];
  const answers: Answer[] = [];
  const failing = { broken: false };
  const driver: TrafficDriver = {
    async apply({ epoch, revision }): Promise<Applied> {
      told.push(revision);
      if (failing.broken) throw new DriverError("unreachable", "away");
      return { epoch, revision, shares: [] };
    },
    read: async () => undefined,
    counters: async () => Promise.reject(new Error("not asked for")),
    close: async () => undefined,
  };
  const applier = openApplier({
    driver,
    instruments: SILENT,
    nowMs: Date.now,
    onAnswer: (answer) => answers.push(answer),
    onRecovered: () => undefined,
  });
  const submit = (revision: number) =>
    applier.submit({ resource: "catalog", plan: plan(revision), sampledAtMs: 0, trace: ROOT_CONTEXT });
  return { told, answers, failing, submit, close: applier.close };
}

test("a plan that was just confirmed is not asked about; a moment later it is, for a load balancer that forgot", async () => {
  const { told, answers, submit, close } = recording();
  submit(1);
  await waitFor(() => answers.length === 1, WITHIN);
  for (let again = 0; again < 5; again += 1) submit(1);
  submit(2);
  await waitFor(() => answers.length === 2, WITHIN);
  assert.deepEqual(told, [1, 2]);
  await waitFor(() => {
    submit(2);
    return told.length === 3;
  }, WITHIN);
  assert.deepEqual(told, [1, 2, 2]);
  await close();
});

test("a plan that failed is tried again at once, also when an earlier one was just confirmed", async () => {
  const { told, answers, failing, submit, close } = recording();
  submit(1);
  await waitFor(() => answers.length === 1, WITHIN);
  failing.broken = true;
  submit(2);
  await waitFor(() => answers.length === 2, WITHIN);
  failing.broken = false;
  submit(2);
  await waitFor(() => answers.length === 3, WITHIN);
  assert.deepEqual(
    [told, answers.map(({ ok }) => ok)],
    [
      [1, 2, 2],
      [true, false, true],
    ],
  );
  await close();
});

test("of the plans that come while one is on its way only the last is applied", async () => {
  const { told, answers, submit, close } = recording();
  for (const revision of [1, 2, 3, 4]) submit(revision);
  await waitFor(() => answers.length === 2, WITHIN);
  assert.deepEqual(told, [1, 4]);
  await close();
});
