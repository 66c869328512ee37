/** How far a copy is, from what the mirror's end says now and then: rate, time left, phase; as a bar, a line or JSON. Pure. */

import type { ShadowProgress } from "@understudy/mirror/engine";

/** The rate is that of about the last so many milliseconds. */
const RATE_MEMORY_MS = 3_000;
const BAR_WIDTH = 24;

export type Seen = {
  readonly atMs: number;
  readonly phase: ShadowProgress["phase"];
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly sentBytes: number;
  readonly lagMs: number;
  readonly version: number;
  /** Bytes of the state per second; 0 while nothing is known. */
  readonly rate: number;
  /** Undefined while nobody can know. */
  readonly etaMs: number | undefined;
};

/** `before`: what was seen last. `atMs` is a monotonic clock. */
export function see(before: Seen | undefined, progress: ShadowProgress, atMs: number): Seen {
  const { phase, seedDoneBytes: doneBytes, seedTotalBytes: totalBytes, lagMs } = progress;
  const sentBytes = progress.seedBytes + progress.deltaBytes;
  const goesOn = before && doneBytes >= before.doneBytes && atMs > before.atMs;
  const rate = goesOn ? blend(before, { doneBytes, atMs }) : 0;
  const left = totalBytes - doneBytes;
  const etaMs = phase === "seeding" && rate > 0 ? (left / rate) * 1000 : undefined;
  return {
    atMs,
    phase,
    doneBytes,
    totalBytes,
    sentBytes,
    lagMs,
    version: progress.visible.version,
    rate,
    etaMs,
  };
}

function blend(before: Seen, now: { doneBytes: number; atMs: number }): number {
  const elapsedMs = now.atMs - before.atMs;
  const rate = ((now.doneBytes - before.doneBytes) / elapsedMs) * 1000;
  if (before.rate === 0) return rate;
  const weight = 1 - Math.exp(-elapsedMs / RATE_MEMORY_MS);
  return before.rate + weight * (rate - before.rate);
}

/** One line for a terminal of `columns`. */
export function renderBar(seen: Seen, columns: number): string {
  const words = renderLine(seen);
  if (seen.phase !== "seeding" || columns < words.length + BAR_WIDTH + 3) return words.slice(0, columns);
  const share = seen.totalBytes === 0 ? 0 : Math.min(1, seen.doneBytes / seen.totalBytes);
  const full = Math.floor(share * BAR_WIDTH);
  return `[${"#".repeat(full)}${"-".repeat(BAR_WIDTH - full)}] ${words}`;
}

export function renderLine(seen: Seen): string {
  switch (seen.phase) {
    case "connecting":
      return "connecting";
    case "disconnected":
      return "disconnected: trying again";
    case "seeding": {
      const share = seen.totalBytes === 0 ? 0 : Math.min(100, (100 * seen.doneBytes) / seen.totalBytes);
      const done = `${share.toFixed(0)} %, ${bytesText(seen.doneBytes)} of ${bytesText(seen.totalBytes)}`;
      const rate = seen.rate > 0 ? `, ${bytesText(seen.rate)}/s` : "";
      return `copying: ${done}${rate}${seen.etaMs === undefined ? "" : `, ${durationText(seen.etaMs)} left`}`;
    }
    case "live":
      return `live: version ${seen.version}, ${Math.round(seen.lagMs)} ms behind, ${bytesText(seen.sentBytes)} sent`;
  }
}

export function eventOf(seen: Seen): Readonly<Record<string, unknown>> {
  const { atMs: _, ...rest } = seen;
  return {
    event: "progress",
    ...rest,
    rate: Math.round(seen.rate),
    etaMs: seen.etaMs && Math.round(seen.etaMs),
  };
}

const SCALE = ["B", "KB", "MB", "GB", "TB"];

export function bytesText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < SCALE.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 ? Math.round(value) : value.toFixed(value < 10 ? 2 : 1)} ${SCALE[unit]}`;
}

export function durationText(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
