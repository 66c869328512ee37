import assert from "node:assert/strict";
import { test } from "node:test";
import { shareBeside, transferAlone } from "./simulation/transfer.ts";

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

test("when the rate falls to a tenth it follows within a second, and is back within a second", () => {
  for (const loss of [0, 0.01]) {
    const cutMs = 4_000;
    const backMs = 8_000;
    const { samples } = transferAlone(
      { ...LINK, loss },
      {
        megabytes: 90,
        at: [
          { ms: cutMs, scale: 0.1 },
          { ms: backMs, scale: 10 },
        ],
      },
    );
    const over = samples.filter(({ ms, rateMbps }) => ms > cutMs && ms < backMs && rateMbps > 15);
    assert.ok(!over.some(({ ms }) => ms > cutMs + 1_000), `still too fast at ${over.at(-1)?.ms}`);
    const back = samples.find(({ ms, rateMbps }) => ms > backMs && rateMbps > 80);
    assert.ok(back && back.ms < backMs + 1_000, `back at ${back?.ms}`);
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
