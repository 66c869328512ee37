import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseTransport } from "./choice.ts";
import { prober } from "./probe.ts";

function probed({
  rttMs,
  mtu,
  answers,
}: {
  rttMs: number;
  mtu: number;
  answers: (number: number) => boolean;
}) {
  const tries = prober(0);
  const arriving: { number: number; atMs: number }[] = [];
  for (let nowMs = 0; nowMs < 4_000; nowMs += 1) {
    for (const { number, bytes } of tries.due(nowMs)) {
      if (bytes <= mtu && answers(number)) arriving.push({ number, atMs: nowMs + rttMs });
    }
    for (const { number, atMs } of arriving) if (atMs === nowMs) tries.hear(number, nowMs);
    const result = tries.result(nowMs);
    if (result) return { ...result, tookMs: nowMs };
  }
  throw new Error("no result");
}

test("the probe finds round trip, loss and the largest packet that gets through", () => {
  const clean = probed({ rttMs: 50, mtu: 1_500, answers: () => true });
  assert.deepEqual(
    { ...clean, tookMs: 0 },
    { answered: true, rttMs: 50, lossShare: 0, mtu: 1_500, tookMs: 0 },
  );
  assert.ok(clean.tookMs < 150, `${clean.tookMs} ms`);
  const lossy = probed({ rttMs: 50, mtu: 1_420, answers: (number) => number % 4 !== 3 });
  assert.ok(
    lossy.answered && lossy.mtu === 1_400 && Math.abs(lossy.lossShare - 0.25) < 0.02,
    JSON.stringify(lossy),
  );
  const tunnel = probed({ rttMs: 5, mtu: 1_300, answers: () => true });
  assert.ok(tunnel.answered && tunnel.mtu === 1_280);
});

test("a way that swallows datagrams is known after little more than a second, a very long one is not mistaken for it", () => {
  const blocked = probed({ rttMs: 50, mtu: 1_500, answers: () => false });
  assert.ok(!blocked.answered && blocked.tookMs < 2_000);
  const satellite = probed({ rttMs: 700, mtu: 1_500, answers: () => true });
  assert.ok(satellite.answered && satellite.rttMs === 700);
});

test("clean goes over TLS, lossy over UDP, blocked over TLS whatever was asked for", () => {
  const path = { answered: true, mtu: 1_500 } as const;
  const cases = [
    [{ ...path, rttMs: 0.2, lossShare: 0 }, "auto", "tls"],
    [{ ...path, rttMs: 0.2, lossShare: 0 }, "udp", "udp"],
    [{ ...path, rttMs: 50, lossShare: 0 }, "auto", "tls"],
    [{ ...path, rttMs: 50, lossShare: 0.01 }, "auto", "udp"],
    [{ ...path, rttMs: 50, lossShare: 0.05 }, "tls", "tls"],
    [{ ...path, rttMs: 3, lossShare: 0.05 }, "auto", "udp"],
    [{ ...path, rttMs: 0.1, lossShare: 0.02 }, "auto", "tls"],
    [{ answered: false }, "udp", "tls"],
  ] as const;
  for (const [probe, over, expected] of cases)
    assert.equal(chooseTransport(probe, over), expected, JSON.stringify([probe, over]));
});
