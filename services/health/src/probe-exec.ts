/**
 * The exec probe: a program of the user's that exits with 0 when the instance works. It runs in a process group of its own,
 * so that all of it ends with its time.
 */

import { spawn } from "node:child_process";
import type { Probe } from "./probe.ts";
import type { ProbeOutcome } from "./signal.ts";

export type ExecTarget = { readonly resource: string; readonly instance: string; readonly address: string };

/** `environment`: PATH, HOME and TMPDIR of it reach the program, and nothing else does. */
export function execProbe(
  command: readonly string[],
  target: ExecTarget,
  environment: Readonly<Record<string, string | undefined>>,
): Probe {
  const [program, ...args] = command;
  return ({ timeoutMs, signal }) => {
    const { promise, resolve } = Promise.withResolvers<ProbeOutcome>();
    const child = spawn(program!, args, {
      detached: true,
      stdio: "ignore",
      env: {
        ...pick(environment, ["PATH", "HOME", "TMPDIR"]),
        UNDERSTUDY_RESOURCE: target.resource,
        UNDERSTUDY_INSTANCE: target.instance,
        UNDERSTUDY_ADDRESS: target.address,
      },
    });
    const late = (): void =>
      resolve({ kind: "late", detail: `did not end within ${timeoutMs} ms`, connected: true });
    const timer = setTimeout(late, timeoutMs);
    signal.addEventListener("abort", late, { once: true });
    // A program that cannot be run says nothing about the instance: it may never be evidence of death.
    child.once("error", (error) =>
      resolve({ kind: "late", detail: `cannot run it: ${error.message}`, connected: true }),
    );
    child.once("exit", (code, killedBy) => resolve(outcomeOf(code, killedBy)));
    return promise.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener("abort", late);
      if (child.pid !== undefined) endGroup(child.pid);
    });
  };
}

function outcomeOf(code: number | null, killedBy: NodeJS.Signals | null): ProbeOutcome {
  if (code === 0) return { kind: "good", detail: "exited with 0" };
  if (killedBy) return { kind: "late", detail: `ended by ${killedBy}`, connected: true };
  // Not "wrong": a script that gives up on a slow answer exits with an error too, and overload is not death.
  return { kind: "busy", detail: `exited with ${code}` };
}

/** What the program has left behind; the group keeps its number as long as one of them lives. */
function endGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function pick(
  from: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])));
}
