/** What the load generator writes down about each request, and the words it uses about them. */

import type { RequestKind } from "./demand.ts";

export type RequestRecord = {
  /** When it was meant to be sent, since the start of the load. */
  readonly atMs: number;
  readonly kind: RequestKind;
  /** Idempotency-Key of a write, empty for a read. */
  readonly key: string;
  /** Of the answer; 0: none came. */
  readonly status: number;
  /** From when it was meant to be sent to the end of its answer, or to its failure. */
  readonly latencyMs: number;
  /** Who answered; empty when nobody did. */
  readonly instance: string;
  /** A read that misses a write which had been acknowledged before the read was sent. */
  readonly stale: boolean;
};

export type LoadResult = {
  /** Wall clock at the start of the load. */
  readonly startedAtMs: number;
  readonly records: readonly RequestRecord[];
  /** How late the generator itself sent: 99th percentile. */
  readonly lateP99Ms: number;
  /** Processor time that the generator used, per second. */
  readonly cpuCores: number;
};

/** Figures of the last moments, for people who watch. */
export type LoadProgress = {
  readonly atMs: number;
  readonly sent: number;
  readonly failed: number;
  readonly inFlight: number;
  readonly ratePerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

export function isWrite(kind: RequestKind): boolean {
  return kind === "order" || kind === "view";
}

/** A stale read of an order is answered 404: wrong, but counted as stale. */
export function hasFailed(record: RequestRecord): boolean {
  return record.status === 0 || (record.status >= 400 && !record.stale);
}

/**
 * All requests of this load may be sent twice without harm: its reads are unpinned GETs with small answers, and its
 * writes carry an Idempotency-Key. Others would have to be told apart here.
 */
export function isIdempotent(record: RequestRecord): boolean {
  return !isWrite(record.kind) || record.key !== "";
}

/** Nearest rank; NaN of nothing. */
export function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}
