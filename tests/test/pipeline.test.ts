/** The whole pipeline on real parts: one decision is one trace, and what is broken or hostile is refused, not fatal. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Bus, BusError } from "@understudy/bus/bus";
import { connectJetStream } from "@understudy/bus/jetstream";
import { followMessages } from "@understudy/bus/messages";
import { subjectOf, TOPICS } from "@understudy/bus/topics";
import { nothingObserved } from "@understudy/cli/demo/observe";
import { readSpans } from "@understudy/cli/demo/spans";
import { type Stack, startStack } from "@understudy/cli/demo/stack";
import type { SpanRecord } from "@understudy/service/telemetry";
import { waitFor } from "@understudy/testkit/wait";
import { INSTANCE_RPS } from "../src/under-load.ts";

const WITHIN_MS = 20_000;
/** A link is probed once a second, and known after 21. */
const LINKS_WITHIN_MS = 60_000;

describe("the pipeline", { concurrency: false }, () => {
  const observed = nothingObserved();
  const stop = new AbortController();
  let stack: Stack;
  before(async () => {
    stack = await startStack(
      { policy: "predictive", ratePerUnit: INSTANCE_RPS, seed: 1 },
      { observed, signal: stop.signal, say: () => undefined },
    );
  });
  after(async () => {
    stop.abort();
    await stack?.close();
  });

  test("one decision is one trace: sample, prediction, decision, the balancer's answer, in this order", async () => {
    const trace = await waitFor(() => wholeTrace(readSpans(stack.cluster.traceFolder)), {
      withinMs: WITHIN_MS,
      what: "a trace from sample to load balancer",
    });
    const services = trace.map(({ service }) => service);
    assert.deepEqual([...new Set(services)], ["collector", "predictor", "balancer"]);
    assert.equal(new Set(trace.map(({ traceId }) => traceId)).size, 1);
    for (const [index, span] of trace.entries()) {
      if (index === 0) assert.equal(span.parentId, "", "the sample is the root");
      else
        assert.ok(
          trace.slice(0, index).some(({ spanId }) => spanId === span.parentId),
          `${span.name} has its parent before it`,
        );
    }
  });

  for (const [user, subject] of [
    ["collector", subjectOf(TOPICS.metrics, "host-a")],
    ["predictor", subjectOf(TOPICS.predictions, "catalog")],
    ["replicator", subjectOf(TOPICS.roles, "catalog")],
    ["replicator", subjectOf(TOPICS.replication, "catalog", "catalog-1")],
    ["balancer", subjectOf(TOPICS.scale, "catalog")],
    ["cli", TOPICS.config.filter],
  ] as const) {
    test(`garbage on ${subject} is rejected with its reason and stops nothing`, async () => {
      await withBus(user, async (bus) => {
        const before = observed.shares.length + observed.demand.length;
        const rejected = firstReject(bus, subject);
        for (const garbage of [
          new Uint8Array([0xff, 0x07]),
          new Uint8Array(0),
          new Uint8Array(2_000).fill(0x41),
        ]) {
          await bus.publish(subject, garbage);
        }
        const reason = await rejected;
        assert.notEqual(reason, "");
        await waitFor(() => observed.shares.length + observed.demand.length > before + 5, {
          withinMs: WITHIN_MS,
          what: "decisions after the garbage",
        });
      });
    });
  }

  test("a service cannot publish on a subject that is not its own", async () => {
    await withBus("collector", async (bus) => {
      await assert.rejects(bus.publish(subjectOf(TOPICS.weights, "catalog"), new Uint8Array([1])), BusError);
    });
  });

  test("what the collector measures of a link is forecast, and a decision is made with it", async () => {
    await withBus("cli", async (bus) => {
      const { inputs, reason } = await firstWithLinks(bus);
      const [link] = inputs!.forecast!.links;
      assert.equal(link?.fromHost, link?.toHost, "the demo has one host");
      const [nearest] = link!.horizons;
      assert.ok(nearest!.roundTripMs.at(-1)! > 0 && nearest!.roundTripMs.at(-1)! < 900);
      assert.ok(reason!.inputs.leadMs! > 1_000, `${reason!.inputs.leadMs}`);
    });
  });

  async function withBus(user: Parameters<Stack["cluster"]["access"]>[0], use: (bus: Bus) => Promise<void>) {
    const bus = await connectJetStream({ ...stack.cluster.access(user), name: "test" });
    try {
      await use(bus);
    } finally {
      await bus.close();
    }
  }
});

async function firstReject(bus: Bus, subject: string): Promise<string> {
  const signal = AbortSignal.timeout(WITHIN_MS);
  for await (const { message } of followMessages(bus, TOPICS.rejects, {
    from: "last",
    signal,
    service: "test",
  })) {
    if (message.subject === subject && message.service !== "test") return message.reason;
  }
  return "";
}

async function firstWithLinks(bus: Bus) {
  const signal = AbortSignal.timeout(LINKS_WITHIN_MS);
  for await (const { message } of followMessages(bus, TOPICS.weights, {
    from: "new",
    signal,
    service: "test",
  })) {
    if (message.inputs?.forecast?.links.length) return message;
  }
  throw new Error(`no decision with links within ${LINKS_WITHIN_MS} ms`);
}

/** The spans of the first trace that went the whole way, by their start. */
function wholeTrace(spans: readonly SpanRecord[]): SpanRecord[] | undefined {
  const traces = Map.groupBy(spans, ({ traceId }) => traceId);
  for (const trace of traces.values()) {
    const names = new Set(trace.map(({ name }) => name));
    const services = new Set(trace.map(({ service }) => service));
    if (names.has("lb.apply") && services.has("collector") && services.has("predictor")) {
      return trace.toSorted((a, b) => a.startMs - b.startMs);
    }
  }
  return undefined;
}
