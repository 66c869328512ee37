/**
 * The application of an instance as the mirror needs it: who writes to a state (to make it stand still), and how its
 * readers are brought to a new version of files. Talks to the instance and to its resource driver; decides nothing.
 */

import { request } from "node:http";
import { callApp } from "@understudy/mirror/hook";
import type { Writer } from "@understudy/mirror/still";
import { pause } from "@understudy/model/pause";
import type { HoldSpec, ResourceSpec } from "@understudy/model/policy";
import type { Position } from "@understudy/model/position";
import type { Member } from "@understudy/state/store";
import type { Instances } from "./instances.ts";

const LOOK_MS = 5;
const ANSWER_BYTES_MAX = 4096;
/** Until the application has been started there is nobody to be shown anything. */
export type App = {
  writerOf(member: Member): Writer;
  showTo(member: Member): ((position: Position) => Promise<void>) | undefined;
};

/** Says before a writer stands still that it is no sign of death. */
export type Announce = (instance: string, silentMs: number, reason: string) => Promise<void>;

export function openApp({
  spec,
  instances,
  announce,
}: {
  spec: () => ResourceSpec;
  instances: () => Instances;
  announce: Announce;
}): App {
  return {
    writerOf: (member) => ({
      process: () => {
        const running = instances().running(member);
        return running && { pid: running.pid, startTicks: running.pidStartTicks };
      },
      target: () => ({
        address: instances().running(member)?.address ?? "",
        env: {
          ...spec().run.env,
          UNDERSTUDY_RESOURCE: spec().name,
          UNDERSTUDY_INSTANCE: member.instance,
          UNDERSTUDY_STATE_DIR: instances().stateDir(member),
        },
      }),
      announce: (silentMs, reason) => announce(member.instance, silentMs, reason),
    }),
    showTo: (member) =>
      spec().state.consistency === "sqlite"
        ? undefined
        : (position) => show(spec(), member, { instances: instances(), position }),
  };
}

async function show(
  { state, run }: ResourceSpec,
  member: Member,
  { instances, position }: { instances: Instances; position: Position },
): Promise<void> {
  const running = instances.running(member);
  if (!running) return;
  const { address } = running;
  switch (state.onVersion) {
    case "restart":
      await instances.restart(member);
      break;
    case "signal":
      // Before it has said what it does with the signal, it would end by it.
      if (!(await instances.answers(member))) throw new Error("it does not answer yet");
      await instances.signal(member, state.reload.signal);
      break;
    case "http":
      await callApp({ command: [], http: state.reload.http }, { address, env: {} }, state.visible.timeoutMs);
      break;
    case "reopens":
    case undefined:
      break;
  }
  if (state.visible.http === "") return;
  const withinMs = state.visible.timeoutMs + (state.onVersion === "restart" ? run.readyWithinMs : 0);
  await awaitMarker(`http://${address}${state.visible.http}`, { position, withinMs });
}

/** Resolves when the application answers this version or a later one. */
async function awaitMarker(
  url: string,
  { position, withinMs }: { position: Position; withinMs: number },
): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  const never = new AbortController().signal;
  for (;;) {
    const answer = await get(url, withinMs);
    if (isReached(answer, position)) return;
    if (performance.now() > deadlineMs)
      throw new Error(
        `version ${position.epoch}.${position.version} is not shown within ${withinMs} ms: ${url} answers "${answer.trim()}"`,
      );
    await pause(LOOK_MS, never);
  }
}

/** "EPOCH.VERSION", as it stands in the marker file. */
export function isReached(answer: string, { epoch, version }: Position): boolean {
  const found = /^(\d+)\.(\d+)$/.exec(answer.trim());
  if (!found) return false;
  const [shownEpoch, shownVersion] = [Number(found[1]), Number(found[2])];
  return shownEpoch > epoch || (shownEpoch === epoch && shownVersion >= version);
}

/** Empty when it cannot be had. */
function get(url: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const asked = request(url, { timeout: timeoutMs, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => {
        text = (text + part).slice(0, ANSWER_BYTES_MAX);
      });
      answer.on("end", () => resolve(answer.statusCode === 200 ? text : ""));
      answer.on("error", () => resolve(""));
    });
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => resolve(""));
    asked.end();
  });
}

/** How this state's writer is made to stand still; undefined where it is not. */
export function holdOf({ state }: ResourceSpec): HoldSpec | undefined {
  switch (state.consistency) {
    case "hook":
      return { kind: "hook", ...state.hook };
    case "freeze":
      return { kind: "freeze", ...state.freeze };
    case "sqlite":
    case "none":
      return undefined;
  }
}
