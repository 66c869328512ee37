/** The judge by properties and by hand: what may never be called dead, and what must be. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  evidenceOf,
  excuse,
  HOST_TIMEOUT_MS,
  type JudgePolicy,
  judge,
  newPulse,
  observe,
  type Pulse,
  STOPPED_DEAD_MS,
  WRONG_DEAD_MS,
} from "./judge.ts";
import type { ProbeOutcome, Signal } from "./signal.ts";

const POLICY: JudgePolicy = { probes: ["http", "tcp"], rise: 2, fall: 3 };
const OUTCOME: Readonly<Record<string, ProbeOutcome>> = {
  good: { kind: "good", detail: "answered 200" },
  busy: { kind: "busy", detail: "answered 503" },
  wrong: { kind: "wrong", detail: "answered 500" },
  late: { kind: "late", detail: "no answer", connected: true },
  unanswered: { kind: "late", detail: "no connection", connected: false },
  refused: { kind: "refused", detail: "connection refused" },
};
const RUNNING: Signal = { from: "process", condition: "running", detail: "runs" };
const STOPPED: Signal = { from: "process", condition: "stopped", detail: "stopped" };
const GONE: Signal = { from: "process", condition: "gone", detail: "exited" };

const outcomeOf = (...names: string[]) => fc.constantFrom(...names.map((name) => OUTCOME[name]!));
const probeSignal = (...names: string[]): fc.Arbitrary<Signal> =>
  fc.record({ from: fc.constantFrom("http" as const, "tcp" as const), outcome: outcomeOf(...names) });
const anySignal: fc.Arbitrary<Signal> = fc.oneof(
  probeSignal(...Object.keys(OUTCOME)),
  fc.constantFrom(RUNNING, STOPPED),
);
/** Signals with the time that passed before each. */
const timed = (signal: fc.Arbitrary<Signal>, afterMs = 400) =>
  fc.array(fc.tuple(fc.integer({ min: 0, max: afterMs }), signal), { maxLength: 200 });

function play(
  start: Pulse,
  steps: readonly (readonly [number, Signal])[],
  { hostSilentMs = 0, policy = POLICY } = {},
): { pulse: Pulse; states: string[]; nowMs: number } {
  let pulse = start;
  let nowMs = 0;
  const states: string[] = [];
  for (const [afterMs, signal] of steps) {
    nowMs += afterMs;
    pulse = judge(observe(pulse, signal, nowMs), policy, { nowMs, hostSilentMs });
    states.push(pulse.state);
  }
  return { pulse, states, nowMs };
}

const served = (): Pulse => ({ ...newPulse(0), served: true });
const up = (): Pulse => ({ ...served(), state: "up" });
const both = (outcome: ProbeOutcome): (readonly [number, Signal])[] => [
  [100, { from: "http", outcome }],
  [0, { from: "tcp", outcome }],
];
const repeat = (times: number, outcome: ProbeOutcome) =>
  Array.from({ length: times }, () => both(outcome)).flat();

describe("overload is not death", () => {
  it("never calls an instance dead whose process runs, however late, busy or unreachable it is", () => {
    const living = fc.oneof(
      probeSignal("good", "busy", "late", "unanswered", "refused"),
      fc.constant(RUNNING),
    );
    fc.assert(
      fc.property(timed(living), fc.integer({ min: 0, max: 60_000 }), (steps, hostSilentMs) => {
        const { states } = play(up(), [[0, RUNNING], ...steps], { hostSilentMs });
        assert.ok(!states.includes("down"));
      }),
    );
  });

  it("never calls an instance dead that takes connections, also where its process cannot be seen", () => {
    fc.assert(
      fc.property(timed(probeSignal("good", "busy", "late")), (steps) => {
        assert.ok(!play(up(), steps, { hostSilentMs: 60_000 }).states.includes("down"));
      }),
    );
  });

  it("takes one good answer among wrong ones for progress", () => {
    const steps = Array.from({ length: 30 }, () => [
      ...repeat(40, OUTCOME.wrong!),
      ...both(OUTCOME.busy!),
    ]).flat();
    assert.ok(!play(up(), [[0, RUNNING], ...steps]).states.includes("down"));
  });
});

describe("evidence of death", () => {
  it("is a process that is gone, whatever else was seen or announced", () => {
    fc.assert(
      fc.property(timed(anySignal), fc.boolean(), (steps, excused) => {
        const start = excused ? excuse(up(), 1e9, "freeze") : up();
        const { states } = play(start, [...steps, [0, GONE]]);
        assert.equal(states.at(-1), "down");
      }),
    );
  });

  it("is a process that stays stopped for longer than the bound, and not before", () => {
    const { pulse } = play(up(), [
      [0, RUNNING],
      [10, STOPPED],
    ]);
    const at = (nowMs: number) => judge(pulse, POLICY, { nowMs, hostSilentMs: 0 }).state;
    assert.equal(pulse.state, "suspect");
    assert.equal(at(10 + STOPPED_DEAD_MS), "suspect");
    assert.equal(at(10 + STOPPED_DEAD_MS + 1), "down");
  });

  it("is not a process that is stopped for short times only", () => {
    const stutter = Array.from({ length: 50 }, (): (readonly [number, Signal])[] => [
      [1, STOPPED],
      [STOPPED_DEAD_MS - 100, RUNNING],
    ]).flat();
    assert.ok(!play(up(), stutter).states.includes("down"));
  });

  it("is a port where nobody listens any more, where the process cannot be seen", () => {
    const refused = repeat(POLICY.fall, OUTCOME.refused!);
    assert.equal(play(up(), refused).states.at(-1), "down");
    assert.equal(play(up(), refused.slice(0, -1)).states.at(-1), "suspect");
    assert.equal(play(newPulse(0), refused).states.at(-1), "suspect", "it had never listened");
  });

  it("is a host that answers nothing for its time-out, where the process cannot be seen", () => {
    const silent = repeat(POLICY.fall, OUTCOME.unanswered!);
    assert.equal(play(up(), silent, { hostSilentMs: HOST_TIMEOUT_MS }).states.at(-1), "suspect");
    assert.equal(play(up(), silent, { hostSilentMs: HOST_TIMEOUT_MS + 1 }).states.at(-1), "down");
  });

  it("is nothing but wrong answers for long enough from an instance that had worked", () => {
    const wrong = repeat(Math.ceil(WRONG_DEAD_MS / 100) + 2, OUTCOME.wrong!);
    assert.equal(play(up(), [[0, RUNNING], ...wrong]).states.at(-1), "down");
    assert.equal(
      play(newPulse(0), [[0, RUNNING], ...wrong]).states.at(-1),
      "suspect",
      "a path that was never right",
    );
  });
});

describe("rise and fall", () => {
  it("needs `fall` bad answers of one probe in a row to suspect, `rise` good ones of each to trust again", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }), (rise, fall) => {
        const policy = { ...POLICY, rise, fall };
        const falling = play(up(), [[0, RUNNING], ...repeat(fall, OUTCOME.late!)], { policy });
        assert.equal(falling.states.indexOf("suspect"), 1 + 2 * fall - 2);
        const rising = play(falling.pulse, repeat(rise, OUTCOME.good!), { policy });
        assert.equal(rising.states.indexOf("up"), 2 * rise - 1);
      }),
    );
  });

  it("does not trust a flapping probe", () => {
    const flapping = Array.from({ length: 100 }, () => [
      ...both(OUTCOME.good!),
      ...both(OUTCOME.late!),
    ]).flat();
    const { states } = play(newPulse(0), [[0, RUNNING], ...flapping]);
    assert.deepEqual([...new Set(states)], ["suspect"]);
  });

  it("goes by the process alone when there are no probes", () => {
    const policy = { probes: [], rise: 2, fall: 3 };
    const { states } = play(
      newPulse(0),
      [
        [0, RUNNING],
        [20, STOPPED],
        [20, RUNNING],
        [20, GONE],
      ],
      { policy },
    );
    assert.deepEqual(states, ["up", "suspect", "up", "down"]);
  });
});

describe("an announced silence", () => {
  it("is no evidence: the verdict stays, until it is over and the silence goes on", () => {
    fc.assert(
      fc.property(timed(anySignal, 40), (steps) => {
        const start = excuse({ ...up(), process: undefined }, 1e9, "freeze");
        assert.ok(!play(start, steps, { hostSilentMs: 60_000 }).states.includes("down"));
        assert.ok(!play(start, steps, { hostSilentMs: 60_000 }).states.includes("suspect"));
      }),
    );
  });

  it("moves the start of a stop to its own end", () => {
    const { pulse } = play(excuse(up(), 5000, "freeze"), [[0, STOPPED]]);
    const at = (nowMs: number) => judge(pulse, POLICY, { nowMs, hostSilentMs: 0 }).state;
    assert.deepEqual(
      [at(4999), at(5001), at(5000 + STOPPED_DEAD_MS), at(5001 + STOPPED_DEAD_MS)],
      ["up", "suspect", "suspect", "down"],
    );
  });

  it("is never shortened by a later, shorter one", () => {
    assert.equal(excuse(excuse(up(), 500, "long"), 100, "short").excusedUntilMs, 500);
  });
});

describe("evidence", () => {
  it("says what each signal found, how often and how long ago", () => {
    const { pulse, nowMs } = play(up(), [[0, RUNNING], ...repeat(3, OUTCOME.late!)]);
    assert.deepEqual(evidenceOf(pulse, nowMs + 7), [
      { signal: "process", alive: true, detail: "runs", ageMs: 307 },
      { signal: "http", alive: true, detail: "no answer (3 in a row)", ageMs: 7 },
      { signal: "tcp", alive: true, detail: "no answer (3 in a row)", ageMs: 7 },
    ]);
  });

  it("says that a silence was announced", () => {
    const { pulse } = play(excuse(up(), 1000, "backup"), [[0, RUNNING]]);
    assert.match(evidenceOf(pulse, 400)[0]!.detail, /silent for 600 ms more by announcement: backup/);
  });
});
