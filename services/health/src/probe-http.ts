/**
 * The HTTP probe: GET a path over a kept connection; any 2xx or 3xx is good. What says "too much to do" is told from what
 * says "broken", because only the latter is evidence of anything but load.
 */

import { Agent, get, type IncomingMessage } from "node:http";
import type { Probe } from "./probe.ts";
import type { ProbeOutcome } from "./signal.ts";

const ANSWER_BYTES_MAX = 64 * 1024;
/** Request time-out, too early, too many requests, unavailable, gateway time-out. */
const BUSY_STATUS: ReadonlySet<number> = new Set([408, 425, 429, 503, 504]);

export function httpProbe(address: string, path: string): Probe & { close(): void } {
  // Its own connection: a probe must not wait behind another one.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const probe: Probe = async ({ timeoutMs, signal }) => {
    const first = await request(agent, { url: `http://${address}${path}`, timeoutMs, signal });
    // The other side closed a kept connection just as we used it: no finding, ask on a new one.
    if (first !== "stale") return first;
    const second = await request(agent, { url: `http://${address}${path}`, timeoutMs, signal });
    return second === "stale" ? { kind: "busy", detail: "connection reset twice" } : second;
  };
  return Object.assign(probe, { close: () => agent.destroy() });
}

function request(
  agent: Agent,
  { url, timeoutMs, signal }: { url: string; timeoutMs: number; signal: AbortSignal },
): Promise<ProbeOutcome | "stale"> {
  const { promise, resolve } = Promise.withResolvers<ProbeOutcome | "stale">();
  const startedMs = performance.now();
  let connected = false;
  const call = get(url, { agent, headers: { "user-agent": "understudy-health" } });
  const finish = (outcome: ProbeOutcome | "stale"): void => {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    resolve(outcome);
  };
  const abort = (): void => {
    const did = connected ? "accepted the connection, no answer" : "no connection";
    finish({ kind: "late", detail: `${did} within ${timeoutMs} ms`, connected });
    call.destroy();
  };
  const timer = setTimeout(abort, timeoutMs);
  signal.addEventListener("abort", abort, { once: true });
  call.on("socket", (socket) => {
    if (socket.connecting) socket.once("connect", () => (connected = true));
    else connected = true;
  });
  call.on("response", (response) => {
    drain(response);
    finish(outcomeOf(response.statusCode ?? 0, performance.now() - startedMs));
  });
  call.on("error", (error: NodeJS.ErrnoException) => {
    finish(call.reusedSocket && error.code === "ECONNRESET" ? "stale" : failureOf(error));
  });
  return promise;
}

/** The body says nothing more, but it must be read for the connection to be kept. */
function drain(response: IncomingMessage): void {
  let bytes = 0;
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) response.destroy();
  });
  // The finding is the status; a connection that breaks in the body is made anew by the next probe.
  response.on("error", () => response.destroy());
}

function outcomeOf(status: number, tookMs: number): ProbeOutcome {
  const detail = `answered ${status} in ${tookMs.toFixed(1)} ms`;
  if (status >= 200 && status < 400) return { kind: "good", detail };
  return { kind: BUSY_STATUS.has(status) ? "busy" : "wrong", detail };
}

/** What a failed connection says; shared by the probes over the network. */
export function failureOf(error: NodeJS.ErrnoException): ProbeOutcome {
  const code = error.code ?? error.message;
  if (code === "ECONNREFUSED") return { kind: "refused", detail: "connection refused" };
  const unreachable = code === "EHOSTUNREACH" || code === "ENETUNREACH" || code === "ETIMEDOUT";
  if (unreachable) return { kind: "late", detail: `host unreachable (${code})`, connected: false };
  // Reset, broken pipe, cut answer: somebody is there and has dropped us, as an overloaded program may.
  return { kind: "busy", detail: `connection broken (${code})` };
}
