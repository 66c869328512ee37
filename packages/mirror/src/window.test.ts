import assert from "node:assert/strict";
import { test } from "node:test";
import { POSITION_ZERO, type Position } from "@understudy/model/position";
import fc from "fast-check";
import { sendWindow } from "./window.ts";

const at = (version: number, history = "1"): Position => ({
  ...POSITION_ZERO,
  version,
  root: history.repeat(64),
});

test("acknowledgements say what is on disk and what is shown", () => {
  const window = sendWindow();
  for (const version of [5, 6, 7]) window.add(at(version), 10);
  assert.deepEqual(window.acknowledge(at(6), at(4)), { durable: at(6), visible: undefined });
  assert.deepEqual(window.acknowledge(at(6), at(5)), { durable: undefined, visible: at(5) });
  assert.deepEqual(window.acknowledge(at(7), at(7)), { durable: at(7), visible: at(7) });
  assert.deepEqual(window.acknowledge(at(7), at(7)), { durable: undefined, visible: undefined });
});

test("a position of another history counts for nothing, however high", () => {
  const window = sendWindow();
  window.add(at(5), 10);
  assert.deepEqual(window.acknowledge(at(120, "9"), at(120, "9")), {
    durable: undefined,
    visible: undefined,
  });
  assert.deepEqual(window.acknowledge(at(5, "9"), at(5, "9")), { durable: undefined, visible: undefined });
});

test("it is full by number and by bytes, and has room again when something is on disk", () => {
  const window = sendWindow({ countMax: 2, bytesMax: 100 });
  window.add(at(1), 10);
  assert.equal(window.full(), false);
  window.add(at(2), 10);
  assert.equal(window.full(), true);
  window.acknowledge(at(1), at(0));
  assert.equal(window.full(), false);
  window.acknowledge(at(2), at(0));
  window.add(at(3), 200);
  assert.equal(window.full(), true);
  window.acknowledge(at(3), at(0));
  assert.equal(window.full(), false);
});

test("whatever is acknowledged in whatever order, nothing goes backwards and shown never leads durable", () => {
  const acks = fc.array(fc.tuple(fc.nat(12), fc.nat(12)), { maxLength: 30 });
  fc.assert(
    fc.property(acks, (said) => {
      const window = sendWindow();
      for (let version = 1; version <= 10; version += 1) window.add(at(version), 1);
      let [durable, visible] = [0, 0];
      for (const [onDisk, shown] of said) {
        const news = window.acknowledge(at(onDisk), at(shown));
        assert.ok((news.durable?.version ?? 99) > durable && (news.visible?.version ?? 99) > visible);
        durable = news.durable?.version ?? durable;
        visible = news.visible?.version ?? visible;
        assert.ok(visible <= durable);
      }
    }),
  );
});
