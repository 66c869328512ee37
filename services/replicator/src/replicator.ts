/**
 * The replicator of one host: a unit per configured resource, fed by the configuration, health's verdicts, the balancer's
 * scale decisions and a tick. Made of actors that start and end together.
 */

import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import type { Bus } from "@understudy/bus/bus";
import { followMessages } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { MirrorListener } from "@understudy/mirror/engine";
import type { Clock } from "@understudy/model/clock";
import { parseEndpoint } from "@understudy/model/endpoint";
import type { Verdict } from "@understudy/model/instance";
import { beforeAbort, pause } from "@understudy/model/pause";
import type { Configuration, HostSpec, ResourceSpec } from "@understudy/model/policy";
import type { ResourceDriver } from "@understudy/resource/driver";
import { followFromDisk, type Heard, openKeptConfiguration } from "@understudy/service/configuration-kept";
import type { Client, Implementation } from "@understudy/service/grpc";
import type { Log } from "@understudy/service/log";
import { type Actor, followForever } from "@understudy/service/run";
import type { Telemetry } from "@understudy/service/telemetry";
import type { TlsMaterial } from "@understudy/service/tls";
import { type Store, StoreError } from "@understudy/state/store";
import {
  AnnounceRequestSchema,
  type HealthControl,
  HealthWatchRequestSchema,
} from "@understudy/wire/gen/control";
import type { Verdict as WireVerdict } from "@understudy/wire/gen/health";
import { verdictFromWire } from "@understudy/wire/roles";
import { replicationControl } from "./control.ts";
import { hostControl } from "./hosts/host-control.ts";
import { addressOf, dataOf, environmentOf, isHostOf, keepersOf } from "./hosts/keepers.ts";
import { letGoOfOthers } from "./let-go.ts";
import { createLinks } from "./links.ts";
import type { MirrorEngine } from "./mirrors.ts";
import { createOutbox } from "./outbox.ts";
import { createPublisher } from "./publish.ts";
import { leadsHere, reigning } from "./resource-state.ts";
import { lateInstruments } from "./telemetry.ts";
import { openUnit, type Unit } from "./unit.ts";
import { createWatchBoard } from "./watch-board.ts";

const TICK_MS = 50;
const STATES_EVERY_MS = 200;
const RETRY_MS = 200;
const STORE_RETRY_MS = 20;
const ANNOUNCE_MS_MAX = 100;
/** A store is given this long to be connected to before resources are taken over without it. */
const STORE_FIRST_MS = 1000;
const ALL_RESOURCES = create(HealthWatchRequestSchema, {});

export type ReplicatorParts = {
  readonly host: string;
  readonly dataDir: string;
  /** Where load balancers ask the gates of this host's instances. */
  readonly gateHost: string;
  /** Of this host, where the configuration cannot know it; empty: it does. */
  readonly instanceAddress: string;
  readonly clock: Clock;
  /** May come later, as telemetry: what runs is taken over without them. */
  readonly bus: Promise<Bus>;
  readonly store: Store;
  readonly driver: ResourceDriver;
  readonly engine: MirrorEngine;
  readonly health: Client<typeof HealthControl>;
  readonly tls: TlsMaterial;
  readonly telemetry: Promise<Telemetry>;
  readonly log: Log;
};

export type Replicator = {
  readonly control: Implementation;
  /** For the replicators of other hosts. */
  readonly hostControl: Implementation;
  /** IP address at which instances and gates of this host are reached. */
  address(): string;
  /** As the configuration in force has them. */
  hosts(): readonly HostSpec[];
  readonly actors: readonly Actor[];
  /** What a resource is, for its driver; undefined while it is not configured. */
  specOf(resource: string): ResourceSpec | undefined;
  /** Why it is not ready; undefined when it is. */
  unready(): string | undefined;
  close(): Promise<void>;
};

export function createReplicator(parts: ReplicatorParts): Replicator {
  const { host, bus, clock, log } = parts;
  const units = new Map<string, Unit>();
  const board = createWatchBoard();
  const outbox = createOutbox(bus);
  const measures = lateInstruments(parts.telemetry);
  const publisher = createPublisher({ source: `replicator@${host}`, clock, outbox, board, log });
  const links = createLinks(host, () => new Date(clock.nowMs()));
  const check = checkStore(parts.store);
  let configuration: Configuration | undefined;
  let listening: Promise<{ listener: MirrorListener; listenHost: string }> | undefined;

  async function announce(what: { resource: string; instance: string; silentMs: number; reason: string }) {
    await parts.health.announce(create(AnnounceRequestSchema, what), {
      signal: AbortSignal.timeout(ANNOUNCE_MS_MAX),
    });
  }

  /** Opened with the first configuration, which names the address of the replication link. */
  async function listen({ hosts }: Configuration) {
    const data = parseEndpoint(hosts.find((each) => each.name === host)?.data ?? "");
    const { host: listenHost, port } = data ?? { host: "127.0.0.1", port: 0 };
    const onError = (error: Error) => log.warn("mirror", { error });
    // A host that was struck off keeps its certificate, and may do nothing with it.
    const options = { host: listenHost, port, tls: parts.tls, clock, onError, allows: isHost };
    return { listener: await parts.engine.listenMirror(options), listenHost };
  }

  const address = () => parts.instanceAddress || addressOf(configuration, host);
  const isHost = (peer: string) => isHostOf(peer, configuration?.hosts ?? []);

  async function configure({ configuration: next, from }: Heard): Promise<void> {
    configuration = next;
    links.configure(next);
    listening ??= listen(next);
    const [link] = await Promise.all([listening, check.first]);
    const ours = next.resources.filter((spec) => keepersOf(spec, next, host).includes(host));
    for (const spec of ours) {
      const keepers = keepersOf(spec, next, host);
      const others = next.hosts.filter(({ name }) => name !== host && keepers.includes(name));
      const known = units.get(spec.name);
      known?.post({ kind: "configured", spec });
      known?.setOthers(others);
      if (known) continue;
      const isHome = keepers[0] === host;
      const linkOf = (to: string) => links.of(spec.name, to);
      const instanceEnv = () => environmentOf(configuration, { resource: spec.name, host });
      const own = { isHome, others, instanceEnv, address, linkOf };
      const shared = { ...parts, ...link, ...own, publisher, measures, announce };
      units.set(spec.name, await openUnit(spec, shared));
    }
    const named = new Set(ours.map((spec) => spec.name));
    if (from === "bus") await letGoOfOthers({ ...parts, units, publisher }, named);
  }

  const actors: Actor[] = [
    { name: "store check", run: check.run },
    {
      name: "configuration",
      run: async (signal) => {
        const kept = openKeptConfiguration(keptConfiguration(parts.dataDir));
        const onError = (error: Error) =>
          log.warn("a restart may begin with an older configuration", { error });
        const follow = { bus, signal, service: "replicator", onError };
        for await (const heard of followFromDisk(kept, follow)) await configure(heard);
      },
    },
    {
      name: "scale",
      run: async (signal) => {
        const follow = { from: "last", signal, service: "replicator" } as const;
        const connected = await beforeAbort(bus, signal);
        if (!connected) return;
        for await (const { message } of followMessages(connected, TOPICS.scale, follow)) {
          const unit = await waitForUnit(message.header?.resource ?? "", signal);
          unit?.post({ kind: "scale-wanted", shadows: message.wantedShadows });
        }
      },
    },
    followHealth(parts, (verdict) => units.get(verdict.resource)?.post({ kind: "verdict", verdict })),
    {
      name: "tick",
      run: (signal) => every(TICK_MS, signal, () => eachUnit((unit) => unit.post({ kind: "tick" }))),
    },
    {
      name: "states",
      run: (signal) => every(STATES_EVERY_MS, signal, () => eachUnit((unit) => unit.publishStates())),
    },
    { name: "links", run: links.run },
    { name: "outbox", run: outbox.run },
  ];
  const eachUnit = (act: (unit: Unit) => void) => {
    for (const unit of units.values()) act(unit);
  };

  /** The last decision on the bus may be older than our configuration; it still holds. */
  async function waitForUnit(resource: string, signal: AbortSignal): Promise<Unit | undefined> {
    while (configuration === undefined && !signal.aborted) await pause(RETRY_MS, signal);
    return units.get(resource);
  }

  return {
    control: replicationControl({ units, board, measures, bootMs: clock.bootMs }),
    hostControl: hostControl({
      units,
      isHost,
      bootMs: clock.bootMs,
      data: () => dataOf(configuration, host),
    }),
    hosts: () => configuration?.hosts ?? [],
    address,
    actors,
    specOf: (resource) => configuration?.resources.find((spec) => spec.name === resource),
    unready: () => {
      if (!configuration) return "no configuration yet";
      const waiting = [...units].filter(
        ([, unit]) => leadsHere(unit.state()) && reigning(unit.state())?.stage.at !== "serving",
      );
      return waiting.length === 0
        ? undefined
        : `no serving primary: ${waiting.map(([name]) => name).join(", ")}`;
    },
    close: async () => {
      await Promise.all([...units.values()].map((unit) => unit.close()));
      await (await listening)?.listener.close();
      await parts.driver.close();
    },
  };
}

/** A verdict that cannot be must not end the stream that brings all others. Without health, process exits are evidence still. */
function followHealth(
  { health, log }: Pick<ReplicatorParts, "health" | "log">,
  take: (verdict: Verdict) => void,
): Actor {
  let away = false;
  const onItem = (wire: WireVerdict) => {
    away = false;
    try {
      take(verdictFromWire(wire));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      log.warn("verdict refused", { error });
    }
  };
  const onLost = (error: unknown) => {
    if (!away) log.warn("health lost: only ends of processes are noticed until it is back", { error });
    away = true;
  };
  return {
    name: "health",
    run: (signal) =>
      followForever((within) => health.watch(ALL_RESOURCES, { signal: within }), { signal, onItem, onLost }),
  };
}

/** A store that forgets what it acknowledges must not be an authority: that ends the service, with what to change. */
function checkStore(store: Store): {
  readonly first: Promise<void>;
  run(signal: AbortSignal): Promise<void>;
} {
  const first = Promise.withResolvers<void>();
  const givenUp = setTimeout(first.resolve, STORE_FIRST_MS);
  return {
    first: first.promise,
    run: async (signal) => {
      while (!signal.aborted && !(await isDurable(store))) await pause(STORE_RETRY_MS, signal);
      clearTimeout(givenUp);
      first.resolve();
      await aborted(signal);
    },
  };
}

/** False while it is away. */
async function isDurable(store: Store): Promise<boolean> {
  try {
    await store.checkDurability();
    return true;
  } catch (error) {
    if (error instanceof StoreError && (error.code === "unsafe" || error.code === "refused")) throw error;
    return false;
  }
}

/** The file of the configuration that was last in force on this host. */
export function keptConfiguration(dataDir: string): string {
  return join(dataDir, "configuration.yaml");
}

function every(periodMs: number, signal: AbortSignal, act: () => void): Promise<void> {
  const timer = setInterval(act, periodMs);
  return aborted(signal).finally(() => clearInterval(timer));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
