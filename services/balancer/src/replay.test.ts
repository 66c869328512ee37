import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PPM } from "@understudy/model/share";
import { WeightDecisionSchema, type WeightDecision as WireWeights } from "@understudy/wire/gen/weight";
import { BURST, recordBurst } from "./fixture-recording.ts";
import { type Recorded, recordedFromWire } from "./inputs-from-wire.ts";
import { replay } from "./replay.ts";

const RECORDING = recordBurst().map((wire) => recordedFromWire(wire)!);
const sinceStart = ({ decidedAtMs }: Recorded) => decidedAtMs - BURST.startMs;

test("under the settings it was made with, every decision comes out as it was", () => {
  for (const change of [{}, { policy: "predictive", quantile: 0.95 } as const]) {
    const again = replay(RECORDING, change);
    assert.ok(again.every(({ reproduced, differs }) => reproduced && !differs));
  }
});

test("under the reactive policy reads stay at the primary for as long as the burst is only foreseen", () => {
  const again = replay(RECORDING, { policy: "reactive" });
  assert.ok(again.every(({ reproduced }) => reproduced));
  const differing = again.filter(({ differs }) => differs);
  assert.deepEqual(
    differing.map(({ recorded }) => recorded),
    RECORDING.filter((one) => sinceStart(one) >= BURST.foreseenAtMs && sinceStart(one) < BURST.hereAtMs),
  );
  assert.ok(differing.length >= 3, "once a second at least");
  for (const { recorded, readPpm, reason } of differing) {
    assert.ok(recorded.readPpm.get("c-2")! > 0);
    assert.deepEqual([...readPpm], Object.entries({ "c-1": PPM, "c-2": 0 }));
    assert.match(reason.text, /^100 requests\/s are here: fit the primary/);
  }
});

test("a limit that would have bound is named", () => {
  const last = replay(RECORDING, { maxShadowShare: 0.1 }).at(-1)!;
  assert.equal(last.reason.rule, "maxShadowShare");
  assert.equal(last.readPpm.get("c-2"), 100_000);
  const stale = replay(RECORDING, { maxStalenessMs: 1 }).at(-1)!;
  assert.equal(stale.readPpm.get("c-2"), 0);
});

test("a recording that this core does not make is not taken for its own", () => {
  const forged = { ...RECORDING.at(-1)!, readPpm: new Map([["c-1", PPM]]) };
  assert.equal(replay([forged], {})[0]!.reproduced, false);
});

test("a decision without what it was made from cannot be made again; with what cannot be it is refused", () => {
  assert.equal(recordedFromWire(create(WeightDecisionSchema)), undefined);
  const broken = (breakIt: (inputs: NonNullable<WireWeights["inputs"]>) => void) => {
    const wire = recordBurst().at(-1)!;
    breakIt(wire.inputs!);
    return () => recordedFromWire(wire);
  };
  assert.throws(
    broken((inputs) => {
      inputs.settings!.policy = "magic";
    }),
    /unknown policy "magic"/,
  );
  assert.throws(
    broken((inputs) => {
      inputs.shift!.heldRps = Number.NaN;
    }),
    /held demand NaN is no number/,
  );
  assert.throws(
    broken((inputs) => {
      inputs.instances[0]!.instance!.name = "../etc";
    }),
    RangeError,
  );
  assert.throws(
    broken((inputs) => {
      delete inputs.settings;
    }),
    /without settings/,
  );
});
