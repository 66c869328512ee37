/**
 * How fast copies go and how long they will take yet, from how far each is now and then. And when one begins and ends, for the
 * timeline. Pure.
 */

import type { ShadowProgress } from "@understudy/mirror/engine";

/** The rate is that of about the last so many milliseconds. */
const RATE_MEMORY_MS = 3_000;

export type Seeding = {
  readonly instance: string;
  readonly incarnation: string;
  readonly atMs: number;
  readonly phase: ShadowProgress["phase"];
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly sinceMs: number;
  /** Bytes of the state per second; 0 while it is not known. */
  readonly rate: number;
  /** Undefined while it is not known. */
  readonly etaMs: number | undefined;
};

/** `atMs` is a monotonic clock. */
export function seedings(
  before: readonly Seeding[],
  shadows: readonly ShadowProgress[],
  atMs: number,
): readonly Seeding[] {
  return shadows.map((progress) => {
    const { instance, incarnation, phase, seedDoneBytes: doneBytes, seedTotalBytes: totalBytes } = progress;
    const known = before.find((each) => each.instance === instance && each.incarnation === incarnation);
    const goesOn = known?.phase === "seeding" && phase === "seeding" && doneBytes >= known.doneBytes;
    const rate = goesOn ? rateOf(known, { doneBytes, atMs }) : 0;
    const etaMs = rate > 0 ? ((totalBytes - doneBytes) / rate) * 1000 : undefined;
    const sinceMs = known?.phase === phase ? known.sinceMs : atMs;
    return { instance, incarnation, atMs, phase, doneBytes, totalBytes, sinceMs, rate, etaMs };
  });
}

function rateOf(before: Seeding, now: { doneBytes: number; atMs: number }): number {
  const elapsedMs = now.atMs - before.atMs;
  if (elapsedMs <= 0) return before.rate;
  const rate = ((now.doneBytes - before.doneBytes) / elapsedMs) * 1000;
  if (before.rate === 0) return rate;
  return before.rate + (1 - Math.exp(-elapsedMs / RATE_MEMORY_MS)) * (rate - before.rate);
}

export type Milestone = { readonly what: string; readonly instance: string; readonly text: string };

/** Copies that have begun or ended between two looks. */
export function milestones(before: readonly Seeding[], now: readonly Seeding[]): readonly Milestone[] {
  return now.flatMap((each) => {
    const was = before.find(
      ({ instance, incarnation }) => instance === each.instance && incarnation === each.incarnation,
    );
    const { instance } = each;
    if (each.phase === "seeding" && was?.phase !== "seeding")
      return [{ what: "seeding.started", instance, text: `${instance} is being copied to` }];
    if (each.phase === "live" && was?.phase === "seeding") {
      const seconds = ((each.atMs - was.sinceMs) / 1000).toFixed(1);
      const text = `${instance} is up to date: ${megabytes(each.doneBytes)} MB copied in ${seconds} s`;
      return [{ what: "seeding.done", instance, text }];
    }
    return [];
  });
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
