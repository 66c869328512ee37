/**
 * Round trip and loss to the hosts that keep shadows, by opening a TCP connection to where they take mirror data: the
 * kernel there answers without the program, so this measures the link. A refusal is an answer as well.
 */

import { connect } from "node:net";
import type { HostSpec } from "@understudy/model/policy";
import type { LinkReading } from "./reading.ts";

export const LINK_EVERY_MS = 1000;
const LINK_TIMEOUT_MS = 900;
/** Loss is the share of lost ones among this many. */
export const LOSS_OVER = 20;

/** Newest last; undefined for a lost one. */
export type LinkHistory = readonly (number | undefined)[];

export function addProbe(history: LinkHistory, roundTripMs: number | undefined): LinkHistory {
  return [...history, roundTripMs].slice(-LOSS_OVER);
}

/** NaN for a round trip that none of the last probes made. */
export function linkReading(toHost: string, history: LinkHistory): LinkReading {
  const lost = history.filter((one) => one === undefined).length;
  return {
    toHost,
    roundTripMs: history.findLast((one) => one !== undefined) ?? Number.NaN,
    loss: history.length === 0 ? Number.NaN : lost / history.length,
  };
}

/** Probes each host about every second. */
export class LinkProber {
  readonly #histories = new Map<string, LinkHistory>();
  #hosts: readonly HostSpec[] = [];
  #timer: NodeJS.Timeout | undefined;

  set(hosts: readonly HostSpec[]): void {
    this.#hosts = hosts;
    for (const name of this.#histories.keys()) {
      if (!hosts.some((host) => host.name === name)) this.#histories.delete(name);
    }
    this.#timer ??= setInterval(() => this.#probeAll(), LINK_EVERY_MS);
  }

  read(): LinkReading[] {
    return [...this.#histories].map(([host, history]) => linkReading(host, history));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#hosts = [];
  }

  #probeAll(): void {
    for (const { name, data } of this.#hosts) {
      void measureRoundTrip(data, LINK_TIMEOUT_MS).then((roundTripMs) => {
        const known = this.#hosts.some((host) => host.name === name);
        if (known) this.#histories.set(name, addProbe(this.#histories.get(name) ?? [], roundTripMs));
      });
    }
  }
}

/** Undefined when nothing came back in time. */
export function measureRoundTrip(address: string, timeoutMs: number): Promise<number | undefined> {
  const split = address.lastIndexOf(":");
  const host = address.slice(0, split).replace(/^\[|\]$/g, "");
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  const startedMs = performance.now();
  const socket = connect({ host, port: Number(address.slice(split + 1)) });
  const answered = (): void => resolve(performance.now() - startedMs);
  socket.once("connect", answered);
  socket.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "ECONNREFUSED" || error.code === "ECONNRESET") answered();
    else resolve(undefined);
  });
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  return promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}
