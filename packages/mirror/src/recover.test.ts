import assert from "node:assert/strict";
import { test } from "node:test";
import { POSITION_ZERO, type Position } from "@understudy/model/position";
import { encodeFrame, type Frame } from "./frames.ts";
import { collectDeltas } from "./recover.ts";

const at = (version: number, history: string): Position => ({
  epoch: 1,
  version,
  hlc: { wallMs: version, counter: 0 },
  root: history.repeat(64),
});
const remove = (path: string): Frame => ({ type: "change", change: { op: "remove", path } });
const begin = ({ version, root }: Position): Frame => ({ type: "begin", epoch: 1, base: { version, root } });
const end = (position: Position): Frame => ({ type: "end", position, changes: 1 });

function collected(start: Position, frames: readonly Frame[]): string[] {
  const collector = collectDeltas(start);
  frames.forEach((frame, offset) => {
    collector.add(encodeFrame(frame).subarray(4), { offset, length: 1 });
  });
  return collector.chain.map(
    ({ position, changes }) => `${position.version}: ${changes.map(({ path }) => path)}`,
  );
}

test("deltas that follow each other are the chain", () => {
  const frames = [
    begin(POSITION_ZERO),
    remove("a"),
    end(at(1, "1")),
    begin(at(1, "1")),
    remove("b"),
    remove("c"),
    end(at(2, "2")),
  ];
  assert.deepEqual(collected(POSITION_ZERO, frames), ["1: a", "2: b,c"]);
});

test("a delta without its end, in the middle or last, never was", () => {
  const frames = [begin(POSITION_ZERO), remove("lost"), begin(POSITION_ZERO), remove("a"), end(at(1, "1"))];
  assert.deepEqual(collected(POSITION_ZERO, [...frames, begin(at(1, "1")), remove("lost too")]), ["1: a"]);
});

test("one that was never acknowledged gives way to the one that came after it on the same base", () => {
  const frames = [
    begin(POSITION_ZERO),
    remove("a"),
    end(at(1, "1")),
    begin(at(1, "1")),
    remove("of the primary that died"),
    end(at(2, "2")),
    begin(at(1, "1")),
    remove("of the next one"),
    end(at(2, "3")),
  ];
  assert.deepEqual(collected(POSITION_ZERO, frames), ["1: a", "2: of the next one"]);
});

test("what does not begin where the bookmark stands is not ours", () => {
  assert.deepEqual(collected(at(5, "5"), [begin(at(4, "4")), remove("a"), end(at(5, "6"))]), []);
});
