/**
 * Looks at exactly the instances that the core wants looked at: starts and ends their probes and process watches. The
 * core's list is level-triggered; what did not change keeps its connections and its rhythm.
 */

import type { About, Target } from "./decide.ts";
import { probesOf } from "./decide.ts";
import { type Probe, repeatProbe } from "./probe.ts";
import { execProbe } from "./probe-exec.ts";
import { httpProbe } from "./probe-http.ts";
import { tcpProbe } from "./probe-tcp.ts";
import { ProcessWatch } from "./process.ts";
import type { ProbeKind, ProbeOutcome, Signal } from "./signal.ts";

export type OnSignal = (about: About, signal: Signal) => void;
type Tools = {
  readonly onSignal: OnSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly processes: ProcessWatch;
};
export type Watchers = { set(targets: readonly Target[]): void; close(): void };

/** `environment` is for exec probes. */
export function createWatchers(
  onSignal: OnSignal,
  environment: Readonly<Record<string, string | undefined>>,
): Watchers {
  const open = new Map<string, { close(): void }>();
  const tools: Tools = { onSignal, environment, processes: new ProcessWatch() };
  const closeAll = (keys: Iterable<string>): void => {
    for (const key of [...keys]) {
      open.get(key)?.close();
      open.delete(key);
    }
  };
  return {
    set(targets) {
      // All that a target says is its key: a change of anything is another target.
      const wanted = new Map(targets.map((target) => [JSON.stringify(target), target]));
      closeAll([...open.keys()].filter((key) => !wanted.has(key)));
      for (const [key, target] of wanted) {
        if (!open.has(key)) open.set(key, watchTarget(target, tools));
      }
    },
    close: () => closeAll(open.keys()),
  };
}

function watchTarget(target: Target, { onSignal, environment, processes }: Tools): { close(): void } {
  const { resource, instance, incarnation, health } = target;
  const about = { resource, instance, incarnation };
  const parts: { close(): void }[] = [];
  if (target.process) parts.push(processes.watch(target.process, (signal) => onSignal(about, signal)));
  for (const kind of probesOf(health)) {
    const probe = openProbe(kind, target, environment);
    const { intervalMs, timeoutMs } = health;
    const onOutcome = (outcome: ProbeOutcome): void => onSignal(about, { from: kind, outcome });
    parts.push(repeatProbe(probe, { intervalMs, timeoutMs, onOutcome }), probe);
  }
  return {
    close() {
      for (const part of parts) part.close();
    },
  };
}

function openProbe(
  kind: ProbeKind,
  { resource, instance, address, health }: Target,
  environment: Readonly<Record<string, string | undefined>>,
): Probe & { close(): void } {
  const nothingToClose = { close: (): undefined => undefined };
  switch (kind) {
    case "http":
      return httpProbe(address, health.http);
    case "tcp":
      return Object.assign(tcpProbe(address), nothingToClose);
    case "exec":
      return Object.assign(
        execProbe(health.exec, { resource, instance, address }, environment),
        nothingToClose,
      );
  }
}
