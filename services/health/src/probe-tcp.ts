/** The TCP probe: the kernel of a living host accepts a connection for a program that listens, however busy it is. */

import { connect } from "node:net";
import type { Probe } from "./probe.ts";
import { failureOf } from "./probe-http.ts";
import type { ProbeOutcome } from "./signal.ts";

export function tcpProbe(address: string): Probe {
  const split = address.lastIndexOf(":");
  const host = address.slice(0, split).replace(/^\[|\]$/g, "");
  const port = Number(address.slice(split + 1));
  return ({ timeoutMs, signal }) => {
    const { promise, resolve } = Promise.withResolvers<ProbeOutcome>();
    const startedMs = performance.now();
    const socket = connect({ host, port });
    const late = (): void =>
      resolve({ kind: "late", detail: `no connection within ${timeoutMs} ms`, connected: false });
    const timer = setTimeout(late, timeoutMs);
    signal.addEventListener("abort", late, { once: true });
    socket.once("connect", () => {
      resolve({ kind: "good", detail: `accepted in ${(performance.now() - startedMs).toFixed(1)} ms` });
    });
    socket.on("error", (error) => resolve(failureOf(error)));
    return promise.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener("abort", late);
      socket.destroy();
    });
  };
}
