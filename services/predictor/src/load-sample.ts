/**
 * What one warm instance did over a few seconds, from its ticks: the samples that capacity is learnt from. Those known to
 * mislead are left out: an instance whose requests queue serves what it can, not what it is asked.
 */

import type { BindingSignal } from "@understudy/model/metric-names";
import { meanOf } from "./averages.ts";
import type { Row } from "./batch.ts";

/** One sample is a mean over so long: at 160 requests per second the rate's noise is 8 % over a second, 4.6 % over three. */
const BLOCK_MS = 3_000;
const INSTANCES_MAX = 1_000;
/** Sizes come from the load balancer, which answers late now and then: this part of the ticks must have them. */
const SIZED_MIN = 0.5;

export type LoadSample = {
  readonly rps: number;
  /** Requests and answers together; NaN where unknown. */
  readonly bytesPerSecond: number;
  /** By signal; NaN where it was not measured. */
  readonly signals: Readonly<Record<string, number>>;
  /** Workers the instance has; NaN when it does not say. */
  readonly workers: number;
};

export type LoadBlocks = {
  /** Takes one tick of an instance; a sample when its block is full. */
  add(row: Row, atMs: number): LoadSample | undefined;
};

type Block = { readonly sinceMs: number; readonly ticks: readonly LoadSample[] };

export function createLoadBlocks(signals: readonly BindingSignal[]): LoadBlocks {
  const blocks = new Map<string, Block>();
  return {
    add(row, atMs) {
      const tick = loadOf(row, signals);
      // The host of the load balancer has rows of instances elsewhere, of which it knows no signal.
      if (signals.every((signal) => Number.isNaN(tick.signals[signal]))) return undefined;
      const block = blocks.get(row.instance) ?? newBlock(atMs);
      if (blocks.size >= INSTANCES_MAX) blocks.clear();
      const next = addToBlock(block, tick, atMs);
      blocks.set(row.instance, next);
      if (next.ticks.length === 0 || atMs - next.sinceMs < BLOCK_MS) return undefined;
      blocks.set(row.instance, newBlock(atMs));
      return meanSample(next.ticks, signals);
    },
  };
}

function newBlock(atMs: number): Block {
  return { sinceMs: atMs, ticks: [] };
}

function addToBlock(block: Block, tick: LoadSample, atMs: number): Block {
  const isBroken = Number.isNaN(tick.rps) || atMs - block.sinceMs > 2 * BLOCK_MS || atMs < block.sinceMs;
  return isBroken ? newBlock(atMs) : { ...block, ticks: [...block.ticks, tick] };
}

function loadOf(row: Row, signals: readonly BindingSignal[]): LoadSample {
  const served = row.value("servedPerSecond");
  const rps = Number.isNaN(served) ? row.value("readsPerSecond") + row.value("writesPerSecond") : served;
  const isQueueing = row.value("queuedRequests") > 0 && row.value("busyWorkers") >= row.value("workers");
  return {
    rps: isQueueing ? Number.NaN : rps,
    bytesPerSecond: row.value("requestBytesPerSecond") + row.value("responseBytesPerSecond"),
    signals: Object.fromEntries(signals.map((name) => [name, row.value(name)])),
    workers: row.value("workers"),
  };
}

function meanSample(ticks: readonly LoadSample[], signals: readonly BindingSignal[]): LoadSample {
  const mean = (pick: (tick: LoadSample) => number) => meanOf(ticks.map(pick));
  const sizes = ticks.map(({ bytesPerSecond }) => bytesPerSecond).filter((bytes) => !Number.isNaN(bytes));
  return {
    rps: mean(({ rps }) => rps),
    bytesPerSecond: sizes.length >= SIZED_MIN * ticks.length ? meanOf(sizes) : Number.NaN,
    signals: Object.fromEntries(
      signals.map((signal) => [signal, mean((tick) => tick.signals[signal] ?? Number.NaN)]),
    ),
    workers: mean(({ workers }) => workers),
  };
}
