/**
 * Shadows of one resource on other hosts: asked for over gRPC from the replicators there, with the same few verbs that are used for
 * those here. What such a host tells of them comes as events; one that says nothing for a while counts as away.
 */

import { create } from "@bufbuild/protobuf";
import type { HostSpec } from "@understudy/model/policy";
import type { RunningInstance } from "@understudy/resource/driver";
import { type Client, connectGrpc, GrpcError } from "@understudy/service/grpc";
import { followForever } from "@understudy/service/run";
import type { TlsMaterial } from "@understudy/service/tls";
import type { Member } from "@understudy/state/store";
import {
  EndShadowRequestSchema,
  HostControl,
  HostedShadowSchema,
  LookAtStoreRequestSchema,
  OpenShadowRequestSchema,
  PromiseRequestSchema,
  RemoveShadowRequestSchema,
  StartShadowRequestSchema,
  WatchShadowsRequestSchema,
  type WatchShadowsResponse,
} from "@understudy/wire/gen/host";
import type { Event } from "../events.ts";
import { keptFromWire } from "./kept-wire.ts";

/** Opening an end reads and hashes all of the state that is there already. */
const OPEN_MS_MAX = 120_000;
const CALL_MS_MAX = 10_000;
/** So often could it be asked again before the lease is over. */
const PROMISES_PER_LEASE = 6;
/** It repeats itself every second. */
const SILENCE_MS_MAX = 3_000;

export type Elsewhere = {
  /** Returns where its mirror data is taken. */
  open(host: string, member: Member): Promise<string>;
  start(host: string, member: Member): Promise<RunningInstance>;
  /** A host that cannot be reached keeps nothing that counts: its shadow is let go all the same. */
  end(host: string, member: Member): Promise<void>;
  remove(host: string, member: Member): Promise<void>;
  lookAtStore(host: string): Promise<void>;
  /** Rejects when the host does not promise. */
  promise(host: string, leaseMs: number): Promise<void>;
  /** Follows exactly these hosts from now on. */
  follow(hosts: readonly HostSpec[]): void;
  close(): Promise<void>;
};

export type ElsewhereParts = {
  readonly resource: string;
  readonly tls: TlsMaterial;
  readonly epoch: () => number;
  readonly post: (event: Event) => void;
  readonly onError: (error: Error) => void;
};

type Host = { readonly spec: HostSpec; readonly client: Client<typeof HostControl>; close(): Promise<void> };

export function openElsewhere(parts: ElsewhereParts): Elsewhere {
  const { resource } = parts;
  const hosts = new Map<string, Host>();
  const clientOf = (host: string) => {
    const known = hosts.get(host);
    if (known) return known.client;
    throw new GrpcError("unavailable", `hosts: of the configuration names no ${host}`);
  };
  const shadow = (member: Member) =>
    create(HostedShadowSchema, { resource, ...member, epoch: BigInt(parts.epoch()) });
  const within = { deadlineMs: CALL_MS_MAX };

  return {
    open: async (host, member) => {
      const request = create(OpenShadowRequestSchema, { shadow: shadow(member) });
      return (await clientOf(host).openShadow(request, { deadlineMs: OPEN_MS_MAX })).data;
    },
    start: async (host, member) => {
      const request = create(StartShadowRequestSchema, { shadow: shadow(member) });
      const { address, pid, pidStartTicks } = await clientOf(host).startShadow(request, within);
      return { resource, ...member, address, pid, pidStartTicks: Number(pidStartTicks) };
    },
    end: async (host, member) => {
      try {
        await clientOf(host).endShadow(create(EndShadowRequestSchema, { shadow: shadow(member) }), within);
      } catch (error) {
        const isGone =
          error instanceof GrpcError && (error.code === "unavailable" || error.code === "deadline-exceeded");
        if (!isGone) throw error;
      }
    },
    remove: async (host, member) => {
      const request = create(RemoveShadowRequestSchema, { shadow: shadow(member) });
      await clientOf(host).removeShadow(request, within);
    },
    lookAtStore: async (host) => {
      await clientOf(host).lookAtStore(create(LookAtStoreRequestSchema, { resource }), within);
    },
    promise: async (host, leaseMs) => {
      const request = create(PromiseRequestSchema, { resource, epoch: BigInt(parts.epoch()), leaseMs });
      await clientOf(host).promise(request, { deadlineMs: leaseMs / PROMISES_PER_LEASE });
    },
    follow: (wanted) => {
      for (const [name, { spec, close }] of hosts) {
        const same = wanted.some((each) => each.name === name && each.control === spec.control);
        if (same) continue;
        hosts.delete(name);
        close().catch(parts.onError);
      }
      for (const spec of wanted) if (!hosts.has(spec.name)) hosts.set(spec.name, followHost(spec, parts));
    },
    close: async () => {
      const open = [...hosts.values()];
      hosts.clear();
      await Promise.all(open.map((each) => each.close()));
    },
  };
}

function followHost(spec: HostSpec, { resource, tls, post, onError }: ElsewhereParts): Host {
  const client = connectGrpc(HostControl, spec.control, tls);
  const stop = new AbortController();
  const request = create(WatchShadowsRequestSchema, { resource });
  const host = spec.name;
  let [first, away] = [true, false];
  const onItem = ({ shadows }: WatchShadowsResponse) => {
    post({ kind: "host-told", host, shadows: shadows.map(keptFromWire), first });
    [first, away] = [false, false];
  };
  const onLost = (error: unknown) => {
    if (!away) onError(new Error(`${host} does not answer`, { cause: error }));
    [first, away] = [true, true];
    post({ kind: "host-away", host });
  };
  const open = (signal: AbortSignal) =>
    untilSilent((within) => client.watchShadows(request, { signal: within }), signal);
  const following = followForever(open, { signal: stop.signal, onItem, onLost });
  return {
    spec,
    client,
    close: async () => {
      stop.abort();
      await following;
      client.close();
    },
  };
}

/** Ends with an error when nothing came for too long: a host that lost its power closes no connection. */
async function* untilSilent<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), SILENCE_MS_MAX);
  try {
    for await (const item of open(AbortSignal.any([signal, silent.signal]))) {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE_MS_MAX);
      yield item;
    }
    if (!signal.aborted) throw new Error(silent.signal.aborted ? "it is silent" : "it ended the stream");
  } finally {
    clearTimeout(timer);
  }
}
