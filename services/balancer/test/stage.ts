/**
 * A balancer on a stage: memory bus, a balancer in memory or a real one, and gRPC servers that speak for the replicator and
 * for health, over mTLS as in a deployment. Tests say lines and look at what happens.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type Context, ROOT_CONTEXT } from "@opentelemetry/api";
import type { Bus } from "@understudy/bus/bus";
import { memoryBus } from "@understudy/bus/memory";
import { followMessages, publishMessage } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Roles, Verdict } from "@understudy/model/instance";
import { systemClock } from "@understudy/service/clock";
import { type Client, connectGrpc, GrpcError, implement, serveGrpc } from "@understudy/service/grpc";
import { openLog } from "@understudy/service/log";
import { runActors } from "@understudy/service/run";
import { type SpanRecord, startTelemetry } from "@understudy/service/telemetry";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";
import type { TrafficDriver } from "@understudy/traffic/driver";
import {
  HealthControl,
  ReplicationControl,
  type ReplicationUpdate,
  ReplicationUpdateSchema,
  TrafficControl,
} from "@understudy/wire/gen/control";
import { ConfigSchema } from "@understudy/wire/gen/event";
import type { Verdict as WireVerdict } from "@understudy/wire/gen/health";
import type { LbApplied, LbCommand } from "@understudy/wire/gen/lb";
import { PredictionSchema } from "@understudy/wire/gen/prediction";
import { ReplicationPhase, ReplicationStateSchema } from "@understudy/wire/gen/replication";
import type { ScaleDecision, WeightDecision } from "@understudy/wire/gen/weight";
import { headerToWire, hlcToWire } from "@understudy/wire/header";
import { rolesToWire, verdictToWire } from "@understudy/wire/roles";
import { createBalancer } from "../src/balancer.ts";
import { LEVELS, RESOURCE } from "../src/fixtures.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

export type Stage = {
  readonly bus: ReturnType<typeof memoryBus>;
  readonly control: Client<typeof TrafficControl>;
  readonly heard: {
    weights: WeightDecision[];
    scales: ScaleDecision[];
    commands: LbCommand[];
    applied: LbApplied[];
  };
  apply(yaml: string): Promise<void>;
  roles(roles: Roles): void;
  /** Says that a shadow is live, so many ms behind. */
  fresh(instance: string, incarnation: string, lagMs: number): void;
  verdict(verdict: Verdict): void;
  predict(totalRps: number, options?: { ahead?: Record<number, number>; trace?: Context }): Promise<void>;
  missing(): string | undefined;
  /** Ends the balancer and starts another one in its place. */
  restart(): Promise<void>;
  /** Idempotent; the balancer's spans. */
  close(): Promise<SpanRecord[]>;
};

export async function openStage(openDriver: () => TrafficDriver): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), "understudy-balancer-"));
  const tlsOf = await certificates(folder);
  const bus = memoryBus();
  const updates = stream<ReplicationUpdate>();
  const verdicts = stream<WireVerdict>();
  const peers = await servePeers({ updates, verdicts, tls: await tlsOf("replicator") });
  const traceFile = join(folder, "spans.jsonl");
  const about = () => ({ time: { wallMs: Date.now(), counter: 0 }, source: "stage" });
  const listening = new AbortController();
  const heard: Stage["heard"] = { weights: [], scales: [], commands: [], applied: [] };
  listen(bus, heard, listening.signal);

  async function start() {
    const telemetry = await startTelemetry({
      service: "balancer",
      host: "host-a",
      otlpEndpoint: "",
      traceFile,
    });
    const tls = await tlsOf("balancer");
    const replicator = connectGrpc(ReplicationControl, `127.0.0.1:${peers.port}`, tls);
    const health = connectGrpc(HealthControl, `127.0.0.1:${peers.port}`, tls);
    const log = openLog("balancer", "silent");
    const parts = {
      host: "host-a",
      bus,
      replicators: [replicator],
      health,
      openDriver,
      clock: systemClock,
      telemetry,
      log,
    };
    const balancer = createBalancer(parts);
    const server = await serveGrpc({ listen: LOOPBACK, tls, services: [balancer.control] });
    const stop = new AbortController();
    const running = runActors(balancer.actors, stop);
    const control = connectGrpc(TrafficControl, `127.0.0.1:${server.port}`, await tlsOf("cli"));
    return {
      balancer,
      control,
      async end() {
        stop.abort();
        await running;
        for (const client of [control, replicator, health]) client.close();
        await server.close();
        await balancer.close();
        await telemetry.close();
      },
    };
  }

  let now = await start();
  let closing: Promise<SpanRecord[]> | undefined;
  return {
    bus,
    get control() {
      return now.control;
    },
    heard,
    async apply(yaml) {
      const message = create(ConfigSchema, { header: headerToWire(about()), revision: 1n, yaml });
      await publishMessage(bus, TOPICS.config, { names: [], message });
    },
    roles: (roles) => {
      const value = rolesToWire(roles, { ...about(), reason: "the test says so" });
      updates.say(
        `roles.${roles.resource}`,
        create(ReplicationUpdateSchema, { update: { case: "roles", value } }),
      );
    },
    fresh: (instance, incarnation, lagMs) => {
      const header = headerToWire({ resource: RESOURCE, ...about() });
      const value = create(ReplicationStateSchema, {
        header,
        instance,
        incarnation,
        lagMs,
        phase: ReplicationPhase.LIVE,
      });
      updates.say(`state.${instance}`, create(ReplicationUpdateSchema, { update: { case: "state", value } }));
    },
    verdict: (verdict) => verdicts.say(verdict.instance, verdictToWire(verdict, about())),
    async predict(totalRps, { ahead = {}, trace = ROOT_CONTEXT } = {}) {
      const { time } = about();
      const message = create(PredictionSchema, {
        header: headerToWire({ resource: RESOURCE, ...about() }),
        ready: Object.keys(ahead).length > 0,
        stepMs: 1_000,
        quantileLevels: LEVELS,
        horizons: Object.entries(ahead).map(([aheadMs, rps]) => ({
          aheadMs: Number(aheadMs),
          totalRps: LEVELS.map(() => rps),
        })),
        current: { movableRps: totalRps * 0.9, immovableRps: totalRps * 0.1 },
        capacity: { instanceRps: 170, learned: true },
        sampledAt: hlcToWire(time),
      });
      await publishMessage(bus, TOPICS.predictions, { names: [RESOURCE], message, trace });
    },
    missing: () => now.balancer.missing(),
    async restart() {
      await now.end();
      now = await start();
    },
    close() {
      closing ??= end();
      return closing;
    },
  };

  async function end(): Promise<SpanRecord[]> {
    await now.end();
    listening.abort();
    await peers.close();
    await bus.close();
    const spans = (existsSync(traceFile) ? readFileSync(traceFile, "utf8") : "")
      .trim()
      .split("\n")
      .filter(Boolean);
    rmSync(folder, { recursive: true, force: true });
    return spans.map((line) => JSON.parse(line) as SpanRecord);
  }
}

async function certificates(folder: string) {
  const authority = await createAuthority(join(folder, "authority"));
  return async (name: string) => {
    const dir = join(folder, name);
    await issueCertificate(authority, { name, dir });
    return readTls(dir);
  };
}

type Stream<T> = { say(key: string, item: T): void; follow(signal: AbortSignal): AsyncGenerator<T> };

/** The last item of each key at once, then every new one: what both Watch calls promise. */
function stream<T>(): Stream<T> {
  const last = new Map<string, T>();
  const followers = new Set<(item: T) => void>();
  return {
    say(key, item) {
      last.set(key, item);
      for (const tell of followers) tell(item);
    },
    async *follow(signal) {
      const waiting = [...last.values()];
      let wake: () => void = () => undefined;
      const tell = (item: T) => {
        waiting.push(item);
        wake();
      };
      followers.add(tell);
      signal.addEventListener("abort", () => wake());
      while (!signal.aborted) {
        const item = waiting.shift();
        if (item) yield item;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
      followers.delete(tell);
    },
  };
}

function servePeers(parts: {
  updates: Stream<ReplicationUpdate>;
  verdicts: Stream<WireVerdict>;
  tls: Parameters<typeof serveGrpc>[0]["tls"];
}) {
  const absent = () => Promise.reject(new GrpcError("unimplemented", "not on this stage"));
  const replication = implement(ReplicationControl, {
    mirror: absent,
    unmirror: absent,
    switchover: absent,
    promote: absent,
    recreate: absent,
    scale: absent,
    status: absent,
    barrier: absent,
    watch: (_, call) => parts.updates.follow(call.signal),
  });
  const health = implement(HealthControl, {
    announce: absent,
    watch: (_, call) => parts.verdicts.follow(call.signal),
  });
  return serveGrpc({ listen: LOOPBACK, tls: parts.tls, services: [replication, health] });
}

function listen(bus: Bus, heard: Stage["heard"], signal: AbortSignal): void {
  const options = { from: "new", signal, service: "stage" } as const;
  const each = async <T>(messages: AsyncIterable<{ message: T }>, into: T[]) => {
    for await (const { message } of messages) into.push(message);
  };
  void each(followMessages(bus, TOPICS.weights, options), heard.weights);
  void each(followMessages(bus, TOPICS.scale, options), heard.scales);
  void each(followMessages(bus, TOPICS.lbCommands, options), heard.commands);
  void each(followMessages(bus, TOPICS.lbApplied, options), heard.applied);
}
