/** One resource on this host: its core's loop wired to its mirror, its instances, its gates and its record. */

import type { MirrorListener } from "@understudy/mirror/engine";
import type { LinkOf } from "@understudy/mirror/limited-transport";
import type { Clock } from "@understudy/model/clock";
import type { HostSpec, ResourceSpec } from "@understudy/model/policy";
import type { ResourceDriver } from "@understudy/resource/driver";
import type { Log } from "@understudy/service/log";
import type { TlsMaterial } from "@understudy/service/tls";
import type { Store } from "@understudy/state/store";
import { openApp } from "./app.ts";
import { type Barriers, openBarriers } from "./barrier.ts";
import { type Answer, announce, type Event, type Request } from "./events.ts";
import { foldersOf } from "./folders.ts";
import { openGates } from "./gate.ts";
import { openElsewhere } from "./hosts/elsewhere.ts";
import { openInstances } from "./instances.ts";
import { mayWrite } from "./lease.ts";
import { createLoop, type Loop } from "./loop.ts";
import { type MirrorEngine, openMirrors } from "./mirrors.ts";
import { createPerformer } from "./perform.ts";
import type { Publisher } from "./publish.ts";
import { openRecordFile } from "./record-file.ts";
import { newResource, type ResourceState } from "./resource-state.ts";
import { milestones, type Seeding, seedings } from "./seeding.ts";
import { countSent } from "./sent.ts";
import { phasesOf, statesOf } from "./states.ts";
import { type Measures, traceTakeovers } from "./telemetry.ts";

export type UnitParts = {
  readonly host: string;
  /** Whether the resource's very first primary is made here. */
  readonly isHome: boolean;
  /** The other hosts that may keep its instances. */
  readonly others: readonly HostSpec[];
  /** IP address at which instances and gates of this host are reached. */
  readonly address: () => string;
  /** How its mirror data uses the link to an address. */
  readonly linkOf: LinkOf;
  /** What instances are told besides. */
  readonly instanceEnv: () => Readonly<Record<string, string>>;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly store: Store;
  readonly driver: ResourceDriver;
  readonly engine: MirrorEngine;
  readonly listener: MirrorListener;
  readonly listenHost: string;
  readonly gateHost: string;
  readonly tls: TlsMaterial;
  readonly publisher: Publisher;
  readonly measures: Measures;
  /** Tells health that an instance is made to stand still. */
  readonly announce: (what: {
    resource: string;
    instance: string;
    silentMs: number;
    reason: string;
  }) => Promise<void>;
  readonly log: Log;
};

export type Unit = {
  state(): ResourceState;
  post(event: Event): void;
  /** Resolves with what came of it; a change of primary may take a while. */
  ask(request: Request, signal: AbortSignal): Promise<Answer>;
  readonly barrier: Barriers;
  /** The first value that `look` returns, at once or at a change; undefined after `withinMs` or when the signal aborts. */
  when<T>(
    signal: AbortSignal,
    withinMs: number,
    look: (state: ResourceState) => T | undefined,
  ): Promise<T | undefined>;
  /** The other hosts that may keep its instances, as a new configuration has them. */
  setOthers(hosts: readonly HostSpec[]): void;
  /** Says how far each instance is. */
  publishStates(): void;
  close(): Promise<void>;
};

/** Takes over what an earlier process left and begins to decide. Throws when its record cannot be used. */
export async function openUnit(spec: ResourceSpec, parts: UnitParts): Promise<Unit> {
  const { host, clock, log, publisher, measures } = parts;
  const onError = (error: Error) => log.warn("went wrong beside a decision", { resource: spec.name, error });
  const folders = foldersOf(parts.dataDir, spec.name);
  const record = openRecordFile(folders.record);
  const kept = record.read();
  const traced = traceTakeovers(measures, () => performance.now());
  const answers = createAnswers();
  const sent = countSent(spec.name, measures);
  const progressed = new Set<() => void>();
  const over = new AbortController();
  // The loop and what it drives know each other: each part reaches the loop through these two once it is there.
  const state = () => loop.state();
  const post = (event: Event) => loop.post(event);
  const app = openApp({
    spec: () => state().spec,
    instances: () => instances,
    announce: (instance, silentMs, reason) =>
      parts.announce({ resource: spec.name, instance, silentMs, reason }),
  });
  const mirrors = openMirrors({
    ...parts,
    app,
    spec: () => state().spec,
    folders,
    post,
    onError,
    onProgress: () => {
      for (const listener of [...progressed]) listener();
    },
  });
  const instances = openInstances({
    spec: () => state().spec,
    driver: parts.driver,
    folders,
    env: parts.instanceEnv,
    post,
  });
  const elsewhere = openElsewhere({
    resource: spec.name,
    tls: parts.tls,
    epoch: () => state().authority?.epoch ?? 0,
    post,
    onError,
  });
  const gates = openGates(
    (instance) => mayWrite(state(), instance, clock.bootMs()),
    () => parts.gateHost || parts.address(),
  );
  const perform = createPerformer({
    ...parts,
    resource: spec.name,
    state,
    post,
    mirrors,
    instances,
    elsewhere,
    gates,
    folders,
    record,
    onError,
    answer: answers.give,
    publish: (effect) => publisher.perform(spec.name, effect, traced.context()),
  });
  const loop: Loop = createLoop({
    initial: newResource(spec, host, parts.isHome),
    clock,
    perform,
    observe: (before, after) => {
      traced.observe(before, after);
      if (phasesOf(before) !== phasesOf(after)) publishStates();
    },
  });

  let copies: readonly Seeding[] = [];

  function publishStates(): void {
    const seen = { ...(mirrors.progress() ?? { sealed: state().sealed, shadows: [] }) };
    const now = seedings(copies, seen.shadows, clock.bootMs());
    for (const { what, text, instance } of milestones(copies, now))
      publisher.perform(spec.name, announce(what, text, instance), traced.context());
    copies = now;
    sent.count(seen.shadows, state());
    const stateBytes = mirrors.primary()?.stateBytes() ?? 0;
    publisher.states(state().spec, (about) =>
      statesOf(state(), { ...seen, stateBytes, seedings: copies }, about),
    );
  }

  /** Calls back at every change of the state or of a shadow's progress. */
  function onChange(listener: () => void): () => void {
    const stop = loop.onChange(listener);
    progressed.add(listener);
    return () => {
      stop();
      progressed.delete(listener);
    };
  }

  const running = await instances.list();
  // First: what is adopted may be kept there.
  elsewhere.follow(parts.others);
  loop.post({ kind: "adopted", kept, running });
  return {
    state,
    post,
    ask: (request, signal) => answers.ask((id) => post({ kind: "asked", id, request }), signal),
    barrier: openBarriers({ state, primary: mirrors.primary, onChange, over: over.signal }),
    publishStates,
    when: (signal, withinMs, look) => firstOf({ state, onChange: loop.onChange, signal, withinMs, look }),
    setOthers: elsewhere.follow,
    close: async () => {
      await elsewhere.close();
      loop.close();
      over.abort();
      answers.close(`nothing more is decided about ${spec.name} here`);
      await instances.close();
      gates.closeAll();
      await mirrors.closeAll();
    },
  };
}

function firstOf<T>(parts: {
  readonly state: () => ResourceState;
  readonly onChange: Loop["onChange"];
  readonly signal: AbortSignal;
  readonly withinMs: number;
  readonly look: (state: ResourceState) => T | undefined;
}): Promise<T | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
  const late = () => resolve(undefined);
  const check = () => {
    try {
      const value = parts.look(parts.state());
      if (value !== undefined) resolve(value);
    } catch (error) {
      reject(error);
    }
  };
  const timer = setTimeout(late, parts.withinMs);
  const stop = parts.onChange(check);
  parts.signal.addEventListener("abort", late, { once: true });
  if (parts.signal.aborted) late();
  check();
  return promise.finally(() => {
    clearTimeout(timer);
    stop();
    parts.signal.removeEventListener("abort", late);
  });
}

/** Questions that wait for the core's answer, by number. */
function createAnswers() {
  const waiting = new Map<number, (answer: Answer) => void>();
  let asked = 0;
  return {
    ask: (send: (id: number) => void, signal: AbortSignal): Promise<Answer> =>
      new Promise((resolve) => {
        asked += 1;
        const id = asked;
        waiting.set(id, resolve);
        signal.addEventListener("abort", () => waiting.delete(id), { once: true });
        send(id);
      }),
    give: (id: number, answer: Answer): void => {
      waiting.get(id)?.(answer);
      waiting.delete(id);
    },
    close: (why: string): void => {
      for (const answer of waiting.values()) answer({ done: false, code: "aborted", why });
      waiting.clear();
    },
  };
}
