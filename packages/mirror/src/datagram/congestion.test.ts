import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import * as simulated from "./simulation/transfer.ts";

type Seeded = Omit<Parameters<typeof simulated.transferAlone>[0], "random"> & { readonly seed: number };
const withRandom = (setting: Seeded) => ({ ...setting, random: seededRandom(setting.seed).next });
const transferAlone = (setting: Seeded, options: Parameters<typeof simulated.transferAlone>[1]) =>
  simulated.transferAlone(withRandom(setting), options);
const shareBeside = (setting: Seeded, options: Parameters<typeof simulated.shareBeside>[1]) =>
  simulated.shareBeside(withRandom(setting), options);

const LINK = { mbps: 100, delayMs: 25, queueMs: 100, seed: 1 };

for (const loss of [0, 0.01, 0.05]) {
  test(`a long link with ${loss * 100} % loss is filled, its queue is not, and nothing is sent twice in vain`, () => {
    const { share, duplicateShare, queueMeanMs, sentRatio } = transferAlone(
      { ...LINK, loss },
      { megabytes: 60 },
    );
    assert.ok(share > 0.9, `share ${share}`);
    assert.ok(queueMeanMs < 25, `queue ${queueMeanMs} ms`);
    assert.equal(duplicateShare, 0);
    assert.ok(sentRatio * (1 - loss) < 1.03, `sent ${sentRatio}`);
  });
}

test("losses in bursts, jitter and disorder slow it little and repeat little", () => {
  const bursts = transferAlone({ ...LINK, loss: 0.02, burst: 8 }, { megabytes: 40 });
  assert.ok(bursts.share > 0.8, `bursts ${bursts.share}`);
  const jitter = transferAlone({ ...LINK, loss: 0.01, jitterMs: 10 }, { megabytes: 40 });
  assert.ok(jitter.share > 0.75, `jitter ${jitter.share}`);
  const disorder = transferAlone({ ...LINK, disorder: 0.02, heldMs: 8 }, { megabytes: 40 });
  assert.ok(disorder.share > 0.8, `disorder ${disorder.share}`);
  assert.ok(disorder.duplicateShare < 0.02, `disorder repeats ${disorder.duplicateShare}`);
});

test("short queues, short and very long ways", () => {
  for (const [name, shape, least] of [
    ["queue of 10 ms", { ...LINK, queueMs: 10 }, 0.8],
    ["4 ms", { ...LINK, delayMs: 2 }, 0.8],
    ["300 ms", { ...LINK, delayMs: 150, loss: 0.01 }, 0.7],
    ["1 Mbit/s", { ...LINK, mbps: 1, queueMs: 300 }, 0.8],
  ] as const) {
    const { share } = transferAlone(shape, { megabytes: shape.mbps === 1 ? 2 : 80 });
    assert.ok(share > least, `${name}: ${share}`);
  }
});

const CUT_MS = 4_000;
const BACK_MS = 8_000;
const STAYS_MS = 1_000;
const CUT_SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9];

/** How long after the cut it was last too fast before it stayed below for a second, and when it was back. */
function cut(setting: typeof LINK & { loss: number }): { adaptMs: number; backMs: number } {
  const at = [
    { ms: CUT_MS, scale: 0.1 },
    { ms: BACK_MS, scale: 10 },
  ];
  const { samples } = transferAlone(setting, { megabytes: 90, at });
  const over = samples.filter(({ ms, rateMbps }) => ms > CUT_MS && ms < BACK_MS && rateMbps > 15);
  const last = over.find(({ ms }, index) => (over[index + 1]?.ms ?? BACK_MS) - ms > STAYS_MS);
  const back = samples.find(({ ms, rateMbps }) => ms > BACK_MS && rateMbps > 80);
  return {
    adaptMs: (last?.ms ?? BACK_MS) - CUT_MS,
    backMs: (back?.ms ?? Number.POSITIVE_INFINITY) - BACK_MS,
  };
}

test("when the rate falls to a tenth it follows within a second, and is back within a second", () => {
  const middle = (values: number[]) => values.sort((a, b) => a - b)[(CUT_SEEDS.length - 1) / 2]!;
  for (const loss of [0, 0.01]) {
    const runs = CUT_SEEDS.map((seed) => cut({ ...LINK, loss, seed }));
    const [adaptMs, backMs] = [middle(runs.map((run) => run.adaptMs)), middle(runs.map((run) => run.backMs))];
    assert.ok(adaptMs <= 1_000 && backMs <= 1_000, `${loss}: ${JSON.stringify(runs)}`);
  }
});

for (const law of ["cubic", "bbr"] as const) {
  for (const first of ["ours", "tcp"] as const) {
    test(`beside one ${law} flow, ${first} first, both get their share of a full link`, () => {
      const runs = [1, 2, 3].map((seed) =>
        shareBeside({ ...LINK, seed }, { law, first, leadMs: 5_000 + 700 * seed }),
      );
      const shares = runs.map(({ share }) => share).sort((a, b) => a - b);
      assert.ok(shares[1]! > 0.3 && shares[1]! < 0.7, `shares ${shares}`);
      for (const { use } of runs) assert.ok(use > 0.95, `use ${use}`);
    });
  }
}

test("a machine that pauses threads costs rate but makes neither a standing queue nor repeats", () => {
  const { share, queueMeanMs, duplicateShare } = transferAlone(
    { ...LINK, loss: 0.01, machine: { pauseEveryMs: 40, pauseMs: 4 } },
    { megabytes: 60 },
  );
  assert.ok(share > 0.85, `share ${share}`);
  assert.ok(queueMeanMs < 30, `queue ${queueMeanMs}`);
  assert.equal(duplicateShare, 0);
});

test("a machine that hardly runs us is not taken for a slow path: the pace does not fade away", () => {
  for (const machine of [
    { pauseEveryMs: 30, pauseMs: 60 },
    { pauseEveryMs: 100, pauseMs: 300 },
  ]) {
    for (const seed of [1, 2, 3]) {
      const starved = { ...LINK, mbps: 200, loss: 0.05, seed, machine };
      const { share, samples } = transferAlone(starved, { megabytes: 30 });
      const paces = samples.filter(({ ms }) => ms > 1_000).map(({ rateMbps }) => rateMbps);
      assert.ok(Number.isFinite(share), `not at its end after 300 s: ${JSON.stringify(starved)}`);
      assert.ok(Math.min(...paces) > 2, `pace down to ${Math.min(...paces)} Mbit/s`);
    }
  }
});
