import assert from "node:assert/strict";
import { test } from "node:test";
import type { Delta } from "./delta.ts";
import { deltaRing } from "./ring.ts";

const root = (version: number) => version.toString(16).padStart(64, "0");
const delta = (version: number, bytes = 10): Delta => ({
  base: { version: version - 1, root: root(version - 1) },
  position: { epoch: 1, version, hlc: { wallMs: 0, counter: 0 }, root: root(version) },
  frames: [],
  bytes,
});

test("a delta is found by its exact base, and by nothing else", () => {
  const ring = deltaRing();
  for (const version of [5, 6, 7]) ring.push(delta(version));
  assert.equal(ring.after({ version: 5, root: root(5) })?.position.version, 6);
  assert.equal(ring.after({ version: 4, root: root(4) })?.position.version, 5);
  assert.equal(ring.after({ version: 5, root: root(9) }), undefined, "the same number of another history");
  assert.equal(ring.after({ version: 7, root: root(7) }), undefined, "nothing newer");
  assert.equal(ring.after({ version: 3, root: root(3) }), undefined, "too old");
});

test("it holds so many deltas and so many bytes", () => {
  const ring = deltaRing({ deltasMax: 3, bytesMax: 100 });
  for (const version of [1, 2, 3, 4]) ring.push(delta(version));
  assert.equal(ring.after({ version: 0, root: root(0) }), undefined);
  assert.equal(ring.after({ version: 1, root: root(1) })?.position.version, 2);
  ring.push(delta(5, 85));
  assert.equal(ring.after({ version: 2, root: root(2) }), undefined);
  assert.equal(ring.after({ version: 3, root: root(3) })?.position.version, 4);
  ring.push(delta(6, 1_000));
  assert.equal(ring.after({ version: 5, root: root(5) }), undefined, "one that is too large alone");
  ring.clear();
  ring.push(delta(9));
  assert.equal(ring.after({ version: 8, root: root(8) })?.position.version, 9);
});
