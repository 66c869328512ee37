/**
 * One tick: start what takes time, wait for it a little, gather what there is, publish it under a span of its own. A slow
 * application, balancer or bus never delays the next tick.
 */

import { create } from "@bufbuild/protobuf";
import { type Context, ROOT_CONTEXT, type Tracer, trace } from "@opentelemetry/api";
import type { Bus } from "@understudy/bus/bus";
import { publishMessage } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Clock } from "@understudy/model/clock";
import { HLC_ZERO, type Hlc, tickHlc } from "@understudy/model/hlc";
import { pause } from "@understudy/model/pause";
import { type MetricBatch, MetricBatchSchema } from "@understudy/wire/gen/metrics";
import { headerToWire } from "@understudy/wire/header";
import { type Batch, makeBatch, newRates } from "./batch.ts";
import type { Readers } from "./readers.ts";
import type { LinkReading, Readings } from "./reading.ts";
import { type Instruments, SPANS } from "./telemetry.ts";
import { everyTick } from "./tick.ts";

/** What has not come by then is left to the next tick; most comes within three milliseconds. */
const WAIT_SHARE = 0.25;
/** Batches on their way to the bus; beyond it a tick is dropped: the next one says more. */
const PUBLISHING_MAX = 4;

export type LoopParts = {
  readonly host: string;
  readonly intervalMs: number;
  readonly readers: Readers;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly tracer: Tracer;
  readonly instruments: Instruments;
};

export async function collect(parts: LoopParts, signal: AbortSignal): Promise<void> {
  const { intervalMs, readers, clock, instruments } = parts;
  const source = `collector@${parts.host}`;
  let rates = newRates();
  let time = HLC_ZERO;
  let lastIndex = 0;
  let publishing = 0;

  const tick = async (): Promise<void> => {
    const startedMs = performance.now();
    time = tickHlc(time, clock.nowMs());
    const taken = time;
    const span = parts.tracer.startSpan(SPANS.collect, { attributes: { host: parts.host } }, ROOT_CONTEXT);
    try {
      await Promise.race([readers.start(), pause(intervalMs * WAIT_SHARE, signal)]);
      const readings = readers.collect(startedMs);
      const { batch, next } = makeBatch(rates, readings);
      rates = next;
      span.setAttribute("rows", batch.rows.length);
      noteMissing(readings, readers, instruments);
      instruments.collected(performance.now() - startedMs);
      if (publishing >= PUBLISHING_MAX) return instruments.dropped();
      publishing += 1;
      const message = toWire({ ...parts, source, time: taken, batch, links: readings.links });
      await publish(parts, { message, within: trace.setSpan(ROOT_CONTEXT, span) }).finally(() => {
        publishing -= 1;
      });
    } finally {
      span.end();
    }
  };

  await everyTick(intervalMs, signal, (index) => {
    if (index > lastIndex + 1) instruments.skipped(index - lastIndex - 1);
    lastIndex = index;
    // A rejection here is a defect of ours: it ends the process, as every unhandled one does.
    void tick();
  });
}

async function publish(
  { bus, host, instruments }: LoopParts,
  { message, within }: { message: MetricBatch; within: Context },
): Promise<void> {
  try {
    await publishMessage(bus, TOPICS.metrics, { names: [host], message, trace: within });
    instruments.published();
  } catch (error) {
    instruments.publishFailed(error as Error);
  }
}

function toWire(from: {
  host: string;
  intervalMs: number;
  source: string;
  time: Hlc;
  batch: Batch;
  links: readonly LinkReading[];
}): MetricBatch {
  return create(MetricBatchSchema, {
    header: headerToWire({ time: from.time, source: from.source }),
    host: from.host,
    intervalMs: from.intervalMs,
    rows: from.batch.rows.map((row) => ({ ...row })),
    columns: from.batch.columns.map((column) => ({ ...column })),
    links: from.links.map((link) => ({ ...link })),
  });
}

function noteMissing({ instances, pools }: Readings, readers: Readers, instruments: Instruments): void {
  const missingPages = readers.scraped() - instances.filter(({ application }) => application).length;
  instruments.missing("application", missingPages);
  instruments.missing("balancer", pools.filter(({ counters }) => !counters).length);
  instruments.missing("process", instances.filter(({ host }) => !host).length);
}
