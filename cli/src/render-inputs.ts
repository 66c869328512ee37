/** What a decision about shares was made from, for people: each instance as it stood, and what was known beside them. */

import { VerdictState } from "@understudy/wire/gen/health";
import { InstancePhase, Role } from "@understudy/wire/gen/role";
import type {
  DecisionInputs,
  DecisionSettings,
  InstanceInput,
  InstanceShare,
  WeightDecision,
} from "@understudy/wire/gen/weight";
import { percentOf, renderTable } from "./globals.ts";

const NOT_KNOWN = "-";
const HEADS = ["INSTANCE", "READS", "CARRIES", "ROLE", "PHASE", "HEALTH", "LAG", "LIMITED BY"];

/** A decision of an older balancer does not say more than the shares. */
export function renderShares({ shares, inputs }: WeightDecision): string[] {
  const rows = shares.map((share) => {
    const input = inputs?.instances.find(({ instance }) => instance?.name === share.instance);
    return [share.instance, percentOf(share.readPpm), ...standingOf(share, input, inputs)];
  });
  return renderTable([HEADS, ...rows]).split("\n");
}

function standingOf(
  { limitedBy }: InstanceShare,
  input: InstanceInput | undefined,
  inputs: DecisionInputs | undefined,
): string[] {
  const limit = limitedBy || NOT_KNOWN;
  if (!input?.instance || !inputs) return [NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, limit];
  const { instance, verdict, freshness, capacityRps } = input;
  const health = verdict === VerdictState.UNSPECIFIED ? NOT_KNOWN : wordOf(VerdictState[verdict]);
  const isBehind = freshness?.live && inputs.primary !== instance.name;
  const lag = isBehind
    ? `${Math.round(freshness.lagMs + inputs.decidedAtMs - freshness.heardAtMs)} ms`
    : NOT_KNOWN;
  return [
    `${Math.round(capacityRps)}/s`,
    wordOf(Role[instance.role]),
    wordOf(InstancePhase[instance.phase]),
    health,
    lag,
    limitedBy === "slow start" ? `${limit}${warmUpLeft(input, inputs)}` : limit,
  ];
}

function warmUpLeft({ instance }: InstanceInput, { decidedAtMs, settings }: DecisionInputs): string {
  const leftMs = Number(instance?.readyAtMs ?? 0n) + (settings?.warmUpMs ?? 0) - decidedAtMs;
  return leftMs > 0 ? `, ${(leftMs / 1000).toFixed(1)} s to go` : "";
}

export function renderInputs(inputs: DecisionInputs | undefined): string[] {
  if (!inputs) return [];
  const { observed, shift, settings, control } = inputs;
  return [
    ...(observed
      ? [`demand       ${rate(observed.fastRps)} here, ${part(observed.movablePart)} of it movable`]
      : []),
    ...renderForecast(inputs),
    ...renderLinks(inputs),
    ...(shift
      ? [`held         ${rate(shift.heldRps)} before, reads ${shift.spread ? "spread" : "at the primary"}`]
      : []),
    ...(settings ? [`settings     ${renderSettings(settings)}`] : []),
    ...(control && control !== "auto" ? [`control      ${control}`] : []),
  ];
}

function renderForecast({ forecast, settings, decidedAtMs, forecastHeardAtMs }: DecisionInputs): string[] {
  if (!forecast) return [];
  const age = `heard ${Math.round(decidedAtMs - forecastHeardAtMs)} ms before`;
  if (!forecast.ready) return [`forecast     none yet (${age})`];
  const levels = forecast.quantileLevels;
  const found = levels.findIndex((level) => level >= (settings?.quantile ?? 1) - 1e-9);
  const level = found === -1 ? levels.length - 1 : found;
  const values = forecast.horizons.map(
    ({ aheadMs, totalRps }) => `${Math.round(totalRps[level] ?? Number.NaN)} in ${aheadMs / 1000} s`,
  );
  return [`forecast     quantile ${levels[level]}: ${values.join(", ")} (${age})`];
}

/** At their highest level, which is what adds to a lead time. */
function renderLinks({ forecast }: DecisionInputs): string[] {
  return (forecast?.links ?? []).map(({ fromHost, toHost, quantileLevels, horizons, seedMs }) => {
    const [nearest] = horizons;
    const roundTrip = `round trip ${(nearest?.roundTripMs.at(-1) ?? Number.NaN).toPrecision(3)} ms`;
    const lost = `${part(nearest?.loss.at(-1) ?? Number.NaN)} lost`;
    const copy = seedMs > 0 ? `, a first copy ${(seedMs / 1000).toFixed(1)} s` : "";
    return `link         ${fromHost} to ${toHost}, quantile ${quantileLevels.at(-1)}: ${roundTrip}, ${lost}${copy}`;
  });
}

function renderSettings(settings: DecisionSettings): string {
  const { policy, quantile, capacityTarget, maxShadowShare, maxStalenessMs, onlyStale, warmUpMs } = settings;
  return Object.entries({
    policy,
    quantile,
    capacityTarget,
    maxShadowShare,
    maxStalenessMs,
    onlyStale,
    warmUpMs,
  })
    .map(([name, value]) => `${name}=${value}`)
    .join("  ");
}

function wordOf(name: string | undefined): string {
  return name?.toLowerCase() ?? NOT_KNOWN;
}

function rate(value: number): string {
  return `${Math.round(value)} requests/s`;
}

function part(value: number): string {
  return `${Math.round(value * 100)} %`;
}
