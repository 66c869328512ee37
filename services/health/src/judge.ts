/**
 * Decides whether an instance is alive, from the times of its signals alone. Nothing here reads a clock.
 *
 * The idea: overload is not death. An instance that answers late, says "not now" or merely runs is at most suspect: reads
 * move away, nothing is fenced. It is down only on evidence of death:
 *   - its process is gone;
 *   - its process has been stopped for STOPPED_DEAD_MS: it can execute nothing, so waiting for it is waiting for nobody;
 *   - nobody listens where it did, and its process cannot be seen from here;
 *   - its host has answered nothing at all for HOST_TIMEOUT_MS, and its process cannot be seen from here;
 *   - it worked before and has now given only wrong answers for WRONG_DEAD_MS.
 */

import type { Evidence, VerdictState } from "@understudy/model/instance";
import type { ProbeKind, ProbeOutcome, ProcessCondition, Signal } from "./signal.ts";

/** Longer than a stop-and-go by a debugger or a snapshot that forgot to announce itself; short against a lease. */
export const STOPPED_DEAD_MS = 1000;
export const HOST_TIMEOUT_MS = 5000;
export const WRONG_DEAD_MS = 5000;

const PROBE_KINDS: readonly ProbeKind[] = ["http", "tcp", "exec"];

/** What one kind of probe has found lately. */
export type Track = {
  readonly last: ProbeOutcome;
  readonly atMs: number;
  readonly goodInARow: number;
  readonly badInARow: number;
  readonly refusedInARow: number;
  /** Not even a connection. */
  readonly unansweredInARow: number;
  /** Start of a row of wrong answers; undefined when the last answer was none of them. */
  readonly wrongSinceMs: number | undefined;
};

export type ProcessTrack = {
  readonly condition: ProcessCondition;
  readonly detail: string;
  /** Start of this condition. */
  readonly sinceMs: number;
  readonly atMs: number;
};

/** Everything known about the life of one instance. Times are of one monotonic clock, in ms. */
export type Pulse = {
  readonly state: VerdictState;
  readonly sinceMs: number;
  /** Undefined when its process cannot be seen from here. */
  readonly process: ProcessTrack | undefined;
  readonly probes: Readonly<Partial<Record<ProbeKind, Track>>>;
  /** It has served: silence means more than that it has not started yet. */
  readonly served: boolean;
  /** Silence until then is of our own making. */
  readonly excusedUntilMs: number;
  readonly excuse: string;
};

export type JudgePolicy = {
  readonly probes: readonly ProbeKind[];
  readonly rise: number;
  readonly fall: number;
};

/** An instance is suspect until it has shown that it works. */
export function newPulse(nowMs: number): Pulse {
  return {
    state: "suspect",
    sinceMs: nowMs,
    process: undefined,
    probes: {},
    served: false,
    excusedUntilMs: -Infinity,
    excuse: "",
  };
}

export function excuse(pulse: Pulse, untilMs: number, reason: string): Pulse {
  return untilMs > pulse.excusedUntilMs ? { ...pulse, excusedUntilMs: untilMs, excuse: reason } : pulse;
}

/** Takes one signal into account, without judging it yet. */
export function observe(pulse: Pulse, signal: Signal, nowMs: number): Pulse {
  if (signal.from === "process") return { ...pulse, process: trackProcess(pulse.process, signal, nowMs) };
  const { from, outcome } = signal;
  const before = pulse.probes[from];
  if (nowMs < pulse.excusedUntilMs && outcome.kind !== "good") {
    if (!before) return pulse;
    return { ...pulse, probes: { ...pulse.probes, [from]: { ...before, last: outcome, atMs: nowMs } } };
  }
  const served = pulse.served || outcome.kind === "good";
  return { ...pulse, served, probes: { ...pulse.probes, [from]: trackProbe(before, outcome, nowMs) } };
}

function trackProcess(
  before: ProcessTrack | undefined,
  { condition, detail }: { condition: ProcessCondition; detail: string },
  nowMs: number,
): ProcessTrack {
  const sinceMs = before?.condition === condition ? before.sinceMs : nowMs;
  return { condition, detail, sinceMs, atMs: nowMs };
}

function trackProbe(before: Track | undefined, outcome: ProbeOutcome, nowMs: number): Track {
  const good = outcome.kind === "good";
  const unanswered = outcome.kind === "late" && !outcome.connected;
  // Silence neither adds to a row of wrong answers nor ends it.
  const wrongSinceMs =
    outcome.kind === "wrong"
      ? (before?.wrongSinceMs ?? nowMs)
      : outcome.kind === "late"
        ? before?.wrongSinceMs
        : undefined;
  return {
    last: outcome,
    atMs: nowMs,
    goodInARow: good ? (before?.goodInARow ?? 0) + 1 : 0,
    badInARow: good ? 0 : (before?.badInARow ?? 0) + 1,
    refusedInARow: outcome.kind === "refused" ? (before?.refusedInARow ?? 0) + 1 : 0,
    unansweredInARow: unanswered ? (before?.unansweredInARow ?? 0) + 1 : 0,
    wrongSinceMs,
  };
}

export type Moment = {
  readonly nowMs: number;
  /** Since anything on the instance's host answered anything. */
  readonly hostSilentMs: number;
};

/** The pulse with its verdict brought up to date. */
export function judge(pulse: Pulse, policy: JudgePolicy, moment: Moment): Pulse {
  const state = isDead(pulse, policy, moment) ? "down" : stateOfLiving(pulse, policy, moment.nowMs);
  if (state === pulse.state) return pulse;
  // Good answers of before its fall do not help it up again.
  const probes = pulse.state === "up" ? withoutGoodRows(pulse.probes) : pulse.probes;
  return { ...pulse, state, sinceMs: moment.nowMs, probes };
}

function withoutGoodRows(probes: Pulse["probes"]): Pulse["probes"] {
  return Object.fromEntries(
    Object.entries(probes).map(([kind, track]) => [kind, { ...track, goodInARow: 0 }]),
  );
}

function isDead(pulse: Pulse, policy: JudgePolicy, { nowMs, hostSilentMs }: Moment): boolean {
  // No announcement excuses a process that is gone.
  if (pulse.process?.condition === "gone") return true;
  if (nowMs < pulse.excusedUntilMs) return false;
  if (stoppedMs(pulse, nowMs) > STOPPED_DEAD_MS) return true;
  const tracks = policy.probes.flatMap((kind) => pulse.probes[kind] ?? []);
  if (
    pulse.served &&
    tracks.some((track) => wrongMs(track, nowMs) > WRONG_DEAD_MS && track.badInARow >= policy.fall)
  ) {
    return true;
  }
  if (pulse.process || !pulse.served) return false;
  const overNetwork = policy.probes
    .filter((kind) => kind !== "exec")
    .flatMap((kind) => pulse.probes[kind] ?? []);
  if (overNetwork.length === 0) return false;
  if (overNetwork.every((track) => track.refusedInARow >= policy.fall)) return true;
  return (
    hostSilentMs > HOST_TIMEOUT_MS && overNetwork.every((track) => track.unansweredInARow >= policy.fall)
  );
}

function stateOfLiving(pulse: Pulse, { probes, rise, fall }: JudgePolicy, nowMs: number): "up" | "suspect" {
  const stopped = pulse.process?.condition === "stopped" && nowMs >= pulse.excusedUntilMs;
  if (stopped) return "suspect";
  if (pulse.state === "up") {
    return probes.some((kind) => (pulse.probes[kind]?.badInARow ?? 0) >= fall) ? "suspect" : "up";
  }
  if (probes.length === 0) return pulse.process?.condition === "running" ? "up" : "suspect";
  return probes.every((kind) => (pulse.probes[kind]?.goodInARow ?? 0) >= rise) ? "up" : "suspect";
}

/** Time under our own announcement does not count. */
function stoppedMs({ process, excusedUntilMs }: Pulse, nowMs: number): number {
  if (process?.condition !== "stopped") return 0;
  return nowMs - Math.max(process.sinceMs, excusedUntilMs);
}

function wrongMs(track: Track, nowMs: number): number {
  return track.wrongSinceMs === undefined ? 0 : nowMs - track.wrongSinceMs;
}

/** What the verdict rests on, for people. */
export function evidenceOf(pulse: Pulse, nowMs: number): Evidence[] {
  const { process } = pulse;
  const items: Evidence[] = [];
  if (process) {
    const lasting = process.condition === "stopped" ? ` for ${Math.round(nowMs - process.sinceMs)} ms` : "";
    const detail = `${process.detail}${lasting}`;
    items.push({
      signal: "process",
      alive: process.condition === "running",
      detail,
      ageMs: nowMs - process.atMs,
    });
  }
  for (const kind of PROBE_KINDS) {
    const track = pulse.probes[kind];
    if (!track) continue;
    const row = track.badInARow > 1 ? ` (${track.badInARow} in a row)` : "";
    items.push({
      signal: kind,
      alive: track.last.kind !== "refused" && (track.last.kind !== "late" || track.last.connected),
      detail: `${track.last.detail}${row}`,
      ageMs: nowMs - track.atMs,
    });
  }
  const [first] = items;
  if (first && nowMs < pulse.excusedUntilMs) {
    const leftMs = Math.round(pulse.excusedUntilMs - nowMs);
    items[0] = {
      ...first,
      detail: `${first.detail}; silent for ${leftMs} ms more by announcement: ${pulse.excuse}`,
    };
  }
  return items;
}
