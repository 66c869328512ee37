import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_REACTIVE, noteBusy } from "./reactive.ts";

const LIMITS = { cpuCores: 0.25 };
const unknown = Number.NaN;

test("without workers of its own an application is as busy as its processors are, of what it may use", () => {
  const { busy } = noteBusy(
    NO_REACTIVE,
    [
      { instance: "a", busyWorkers: unknown, workers: unknown, cpuCores: 0.2 },
      { instance: "b", busyWorkers: unknown, workers: unknown, cpuCores: 0.1 },
      { instance: "starts", busyWorkers: unknown, workers: unknown, cpuCores: unknown },
    ],
    LIMITS,
  );
  assert.deepEqual(
    busy.map(({ part, serving }) => [part.toFixed(6), serving]),
    [["0.600000", 2]],
  );
});

test("workers that an application reports go before processors, also while another instance reports none", () => {
  const { busy } = noteBusy(
    NO_REACTIVE,
    [
      { instance: "a", busyWorkers: 2, workers: 8, cpuCores: 0.25 },
      { instance: "b", busyWorkers: unknown, workers: unknown, cpuCores: 0.25 },
    ],
    LIMITS,
  );
  assert.deepEqual(busy, [{ part: 0.25, serving: 1 }]);
});

test("what is not measured says nothing", () => {
  const silent = [{ instance: "a", busyWorkers: unknown, workers: unknown, cpuCores: unknown }];
  assert.equal(noteBusy(NO_REACTIVE, silent, LIMITS), NO_REACTIVE);
  const unlimited = [{ instance: "a", busyWorkers: unknown, workers: unknown, cpuCores: 1 }];
  assert.equal(noteBusy(NO_REACTIVE, unlimited, {}), NO_REACTIVE);
});
