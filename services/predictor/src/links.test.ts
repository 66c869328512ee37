/** Links as the predictor hears of them: probes in batches, copies in the words of the mirror. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Roles } from "@understudy/model/instance";
import type { LinkForecast } from "@understudy/model/link-forecast";
import fc from "fast-check";
import { decide, INITIAL, type PredictionView, type State } from "./decide.ts";
import { copyingState, exampleConfiguration, metricBatch, START_MS, servingInstance } from "./fixtures.ts";
import type { LinkSample } from "./link-samples.ts";
import { createLink, watchLinks } from "./links.ts";

const MIB = 1024 * 1024;
const ROLES: Roles = {
  resource: "catalog",
  epoch: 1,
  primary: "catalog-1",
  instances: [
    { ...servingInstance("catalog-1", START_MS), role: "primary" },
    { ...servingInstance("catalog-2", START_MS), host: "host-b" },
  ],
};
/** A new one each time: what a link has learnt is updated in place. */
function configured(): State {
  const event = { kind: "configured", configuration: exampleConfiguration() } as const;
  return decide(decide(INITIAL, event, START_MS).next, { kind: "roles", roles: ROLES }, START_MS).next;
}

type Probe = (second: number) => Omit<LinkSample, "toHost">;
const steady: Probe = () => ({ roundTripMs: 20, loss: 0 });

/** Ten batches a second, with the links to host-b and to host-c, which keeps nothing. */
function probe(before: State, { fromMs, seconds, to }: { fromMs: number; seconds: number; to: Probe }) {
  let state = before;
  let last: PredictionView | undefined;
  for (let tick = 0; tick < seconds * 10; tick += 1) {
    const atMs = fromMs + tick * 100;
    const sample = to(Math.floor(tick / 10));
    const links = ["host-b", "host-c"].map((toHost) => ({ toHost, ...sample }));
    const message = metricBatch([{ readsPerSecond: 90, writesPerSecond: 10 }], { atMs, links });
    const { next, effects } = decide(state, { kind: "metrics", message }, atMs);
    state = next;
    for (const effect of effects) if (effect.kind === "predict") last = effect.prediction;
  }
  return { state, links: last!.links };
}

/** Copies of 640 MiB on a fast link, a word each second. */
function copy(
  before: State,
  { fromMs, words, rate }: { fromMs: number; words: number; rate: number },
): State {
  let state = before;
  for (let word = 1; word <= words; word += 1) {
    const atMs = fromMs + word * 1_000;
    const message = copyingState((rate * word) % (630 * MIB), { atMs, totalBytes: 640 * MIB });
    state = decide(state, { kind: "replication", message }, atMs).next;
  }
  return state;
}

function onlyLink(links: readonly LinkForecast[]): LinkForecast {
  assert.equal(links.length, 1);
  return links[0]!;
}

test("the links of a resource are those from its primary's host to its shadows', once they are known for a while", () => {
  const { state, links } = probe(configured(), { fromMs: START_MS, seconds: 15, to: steady });
  assert.deepEqual(links, []);
  const link = onlyLink(probe(state, { fromMs: START_MS + 15_000, seconds: 15, to: steady }).links);
  assert.deepEqual([link.fromHost, link.toHost], ["host-a", "host-b"]);
  assert.deepEqual(
    link.horizons.map(({ aheadMs }) => aheadMs),
    [1_000, 5_000],
  );
  for (const { roundTripMs, loss } of link.horizons) {
    for (const value of roundTripMs) assert.ok(Math.abs(value - 20) < 1, `${value}`);
    assert.deepEqual(loss, [0, 0, 0]);
  }
  assert.deepEqual([link.bytesPerSecond, link.seedMs], [[], 0]);
});

test("what becomes worse is expected to be worse, within what can be", () => {
  const worse: Probe = (second) => ({
    roundTripMs: second < 40 ? 20 : 60 + 30 * (second % 2),
    loss: Math.min(1, Math.max(0, (second - 40) / 20)),
  });
  const link = onlyLink(probe(configured(), { fromMs: START_MS, seconds: 70, to: worse }).links);
  for (const { roundTripMs, loss } of link.horizons) {
    assert.ok(roundTripMs.at(-1)! > 80, `${roundTripMs}`);
    assert.ok(loss.at(-1)! > 0.9 && loss.every((value) => value >= 0 && value <= 1), `${loss}`);
  }
});

test("a link that was silent for a while is left out, and so is all of it while nobody is primary", () => {
  const { state } = probe(configured(), { fromMs: START_MS, seconds: 30, to: steady });
  const linksAt = (from: State, afterMs: number) => {
    const atMs = START_MS + 30_000 + afterMs;
    const message = metricBatch([{ readsPerSecond: 90, writesPerSecond: 10 }], { atMs });
    const [effect] = decide(from, { kind: "metrics", message }, atMs).effects;
    assert.ok(effect?.kind === "predict");
    return effect.prediction.links;
  };
  assert.equal(linksAt(state, 4_000).length, 1);
  assert.equal(linksAt(state, 6_000).length, 0);
  const failing = decide(state, { kind: "roles", roles: { ...ROLES, primary: "" } }, START_MS).next;
  assert.equal(linksAt(failing, 0).length, 0);
});

test("probes that are all lost are a loss, and no round trip of 0", () => {
  const cut: Probe = (second) =>
    second < 30 ? steady(second) : { roundTripMs: Number.NaN, loss: Math.min(1, (second - 29) / 20) };
  const link = onlyLink(probe(configured(), { fromMs: START_MS, seconds: 60, to: cut }).links);
  assert.ok(link.horizons[0]!.roundTripMs[0]! > 15);
  assert.ok(link.horizons[0]!.loss.at(-1)! > 0.9);
});

test("copies say how fast the next one is, and how long the whole state takes at the lowest rate", () => {
  const measured = copy(configured(), { fromMs: START_MS, words: 60, rate: 80 * MIB });
  const link = onlyLink(probe(measured, { fromMs: START_MS, seconds: 30, to: steady }).links);
  const [low, , high] = link.bytesPerSecond;
  assert.ok(low! > 70 * MIB && high! < 90 * MIB, `${link.bytesPerSecond}`);
  assert.ok(Math.abs(link.seedMs - (1_000 * 64 * MIB) / low!) < 1);
  const few = copy(configured(), { fromMs: START_MS, words: 8, rate: 80 * MIB });
  assert.equal(onlyLink(probe(few, { fromMs: START_MS, seconds: 30, to: steady }).links).seedMs, 0);
});

test("a copy to somebody who is not an instance, or of no resource of ours, is not heard", () => {
  const message = copyingState(1, { atMs: START_MS });
  message.instance = "stranger";
  assert.equal(decide(configured(), { kind: "replication", message }, START_MS).next.copying.size, 0);
  message.instance = "catalog-2";
  message.header!.resource = "other";
  assert.equal(decide(configured(), { kind: "replication", message }, START_MS).next.copying.size, 0);
  message.instance = "x.>";
  const [effect] = decide(configured(), { kind: "replication", message }, START_MS).effects;
  assert.ok(effect?.kind === "reject" && /not named by DNS labels/.test(effect.reason));
});

test("more links than are kept: the one that was used the longest ago gives way", () => {
  const rolesOn = (host: string): Roles => ({
    ...ROLES,
    instances: [ROLES.instances[0]!, { ...ROLES.instances[1]!, host }],
  });
  let links = watchLinks(new Map(), rolesOn("host-first"));
  for (let index = 0; index < 511; index += 1) links = watchLinks(links, rolesOn(`host-${index}`));
  assert.ok(links.has("host-a host-first"));
  links = watchLinks(watchLinks(links, rolesOn("host-0")), rolesOn("host-more"));
  assert.equal(links.size, 512);
  assert.ok(links.has("host-a host-0") && !links.has("host-a host-first"));
});

test("whatever is measured, what is expected is finite, not negative, and a loss no more than all", () => {
  const probes = fc.array(
    fc.tuple(
      fc.oneof(fc.double({ min: 0, max: 60_000 }), fc.constantFrom(0, 60_000)),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: Number.MIN_VALUE, max: 1e18, noNaN: true }),
    ),
    { minLength: 25, maxLength: 60 },
  );
  fc.assert(
    fc.property(probes, (all) => {
      const link = createLink();
      for (const [second, [roundTripMs, loss, rate]] of all.entries()) {
        const nowMs = START_MS + 1_000 * second;
        link.probed({ toHost: "host-b", roundTripMs, loss }, { atMs: nowMs, nowMs });
        link.copied(rate);
      }
      const { horizons, bytesPerSecond } = link.view(START_MS)!;
      for (const { roundTripMs, loss } of horizons) {
        assert.ok(loss.every((value) => value >= 0 && value <= 1));
        assert.ok(roundTripMs.every((value) => Number.isFinite(value) && value >= 0));
      }
      assert.ok(bytesPerSecond.every((value) => Number.isFinite(value) && value >= 0));
    }),
  );
});
