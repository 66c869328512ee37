/** A recorded decision and what it was made from, from the wire. What cannot be is refused with a RangeError. */

import type { Roles, Verdict } from "@understudy/model/instance";
import { VerdictState } from "@understudy/wire/gen/health";
import type {
  InstanceInput,
  ShiftState,
  DecisionInputs as WireInputs,
  DecisionSettings as WireSettings,
  WeightDecision as WireWeights,
} from "@understudy/wire/gen/weight";
import { instanceFromWire, verdictStateFromWire } from "@understudy/wire/roles";
import { LIMITS, type Limit, type Seen } from "./candidates.ts";
import type { Knowledge, Settings, WeightDecision } from "./decision.ts";
import type { Control } from "./resource-state.ts";
import type { Shift } from "./shift.ts";
import { predictionFromWire } from "./wire.ts";

const POLICIES = ["predictive", "reactive", "static", "none"] as const;
const ONLY_STALE = ["refuse", "serve"] as const;

/** What of a recorded decision can be made again, and what is compared then. */
export type Recorded = Pick<WeightDecision, "resource" | "revision" | "epoch"> & {
  readonly readPpm: ReadonlyMap<string, number>;
  readonly rule: string;
  readonly text: string;
  readonly decidedAtMs: number;
  readonly known: Knowledge;
};

/** Undefined when the decision was recorded without what it was made from. */
export function recordedFromWire(wire: WireWeights): Recorded | undefined {
  if (!wire.inputs) return undefined;
  const resource = wire.header?.resource ?? "";
  const [epoch, revision] = [Number(wire.epoch), Number(wire.revision)];
  return {
    resource,
    revision,
    epoch,
    readPpm: new Map(wire.shares.map((share) => [share.instance, share.readPpm])),
    rule: wire.reason?.rule ?? "",
    text: wire.reason?.text ?? "",
    decidedAtMs: finite(wire.inputs.decidedAtMs, "time of a decision"),
    known: knowledgeFromWire(wire.inputs, { resource, epoch }),
  };
}

function knowledgeFromWire(
  wire: WireInputs,
  { resource, epoch }: { resource: string; epoch: number },
): Knowledge {
  const { settings, observed, forecast, shift } = wire;
  if (!settings || !shift) throw new RangeError("inputs without settings or shift state");
  const instances = wire.instances.map(({ instance }) => {
    if (!instance) throw new RangeError("an instance without its name");
    return instanceFromWire(instance);
  });
  const roles: Roles = { resource, epoch, primary: wire.primary, instances };
  return {
    spec: settingsFromWire(settings),
    roles,
    verdicts: new Map(wire.instances.flatMap((input) => verdictFromInput(input, resource))),
    freshness: new Map(wire.instances.flatMap((input) => freshnessFromInput(input, resource))),
    prediction: forecast && {
      ...predictionFromWire(forecast),
      seenAtMs: finite(wire.forecastHeardAtMs, "time of a prediction"),
    },
    instanceRps: finite(wire.instanceRps, "capacity of an instance"),
    observed: observed && {
      fastRps: finite(observed.fastRps, "demand"),
      slowRps: finite(observed.slowRps, "demand"),
      movablePart: finite(observed.movablePart, "movable part"),
      seenAtMs: finite(observed.heardAtMs, "time of a sample"),
      sampledAtMs: finite(observed.sampledAtMs, "time of a sample"),
    },
    shift: shiftFromWire(shift),
    control: controlFromWire(wire),
    shares: new Map(Object.entries(wire.previousPpm)),
    limits: new Map(
      Object.entries(wire.previousLimits).map(([name, limit]) => [
        name,
        oneOf<Limit>(LIMITS, limit, "limit"),
      ]),
    ),
  };
}

function settingsFromWire(wire: WireSettings): Settings {
  return {
    capacity: { target: finite(wire.capacityTarget, "target") },
    routing: {
      maxShadowShare: finite(wire.maxShadowShare, "share"),
      maxStalenessMs: finite(wire.maxStalenessMs, "staleness"),
      onlyStale: oneOf(ONLY_STALE, wire.onlyStale, "word for stale shadows"),
    },
    shadows: { warmUpMs: finite(wire.warmUpMs, "warm-up") },
    forecast: {
      policy: oneOf(POLICIES, wire.policy, "policy"),
      quantile: finite(wire.quantile, "quantile"),
    },
  };
}

type Said<T> = readonly (readonly [instance: string, said: T])[];

function verdictFromInput({ instance, verdict }: InstanceInput, resource: string): Said<Verdict> {
  if (!instance || verdict === VerdictState.UNSPECIFIED) return [];
  const { name, incarnation } = instance;
  const state = verdictStateFromWire(verdict);
  return [[name, { resource, instance: name, incarnation, state, sinceMs: 0, evidence: [] }]];
}

function freshnessFromInput({ instance, freshness }: InstanceInput, resource: string): Said<Seen> {
  if (!instance || !freshness) return [];
  const { name, incarnation } = instance;
  const { live, lagMs, heardAtMs } = freshness;
  const seenAtMs = finite(heardAtMs, "time of a shadow's word");
  return [[name, { resource, instance: name, incarnation, live, lagMs, seenAtMs }]];
}

function shiftFromWire({ heldRps, neededAtMs, movedAtMs, spread, turnedAtMs }: ShiftState): Shift {
  return {
    heldRps: finite(heldRps, "held demand"),
    neededAtMs: finite(neededAtMs, "time of a shift"),
    movedAtMs: finite(movedAtMs, "time of a shift"),
    spread,
    turns: turnedAtMs.map((atMs) => finite(atMs, "time of a shift")),
  };
}

function controlFromWire({ control, manualPpm }: WireInputs): Control {
  const kind = oneOf(["auto", "paused", "manual"] as const, control, "control");
  return kind === "manual" ? { kind, readPpm: new Map(Object.entries(manualPpm)) } : { kind };
}

function finite(value: number, what: string): number {
  if (!Number.isFinite(value)) throw new RangeError(`${what} ${value} is no number`);
  return value;
}

function oneOf<T extends string>(known: readonly T[], word: string, what: string): T {
  const found = known.find((one) => one === word);
  if (found === undefined) throw new RangeError(`unknown ${what} "${word.slice(0, 80)}"`);
  return found;
}
