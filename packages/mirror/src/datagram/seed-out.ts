/**
 * The primary's half of a seed over UDP: offers it over the mTLS link, probes the way, decides, and then carries the
 * frames of the seed. Whatever speaks against UDP, the seed goes over TLS and nobody has to do anything.
 */

import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeFrame } from "../frames.ts";
import type { Link } from "../transport.ts";
import { chooseTransport, type SeedOver } from "./choice.ts";
import { datagramKeys, TOKEN_BYTES } from "./keys.ts";
import { type DatagramSender, openDatagramSender } from "./sender.ts";

/** Smaller seeds are over before a probe is. */
export const SEED_BYTES_MIN = 4 * 1024 * 1024;
const ANSWER_MS_MAX = 3_000;
/** Headers of ours, of UDP and of IP on top of each fragment. */
const WIRE_RATIO = 1.03;

export type SeedOptions = {
  readonly over: SeedOver;
  /** Of the seed on the wire; without it, what the path carries. */
  readonly limitMbps?: number;
};

/** What carries a seed's frames. */
export type SeedCarrier = {
  readonly transport: "tls" | "udp";
  /** Resolves when more may be sent. */
  send(frames: readonly Uint8Array[]): Promise<void>;
  /** Resolves when whatever is sent over the link from now on arrives after the seed. */
  finish(): Promise<void>;
  close(): void;
};

export type SeedOffer = {
  /** The other end's word: a port, or 0 for no. */
  answer(port: number): void;
  /** Resolves with the way to go. */
  carrier(): Promise<SeedCarrier>;
};

export function tlsCarrier(link: Link): SeedCarrier {
  return {
    transport: "tls",
    async send(frames) {
      await link.untilReady();
      link.send(frames);
    },
    finish: async () => undefined,
    close: () => undefined,
  };
}

/** For a seed of `bytes`. Between two ends of one machine there is no way to probe: TLS. */
export function offerSeed(
  link: Link,
  { over, limitMbps, bytes }: SeedOptions & { bytes: number },
): SeedOffer {
  const answered = Promise.withResolvers<number>();
  return {
    answer: answered.resolve,
    async carrier() {
      const isHere = link.localHost === link.remoteHost;
      if (over === "tls" || (over === "auto" && (isHere || bytes < SEED_BYTES_MIN))) return tlsCarrier(link);
      const token = randomBytes(TOKEN_BYTES);
      link.send([encodeFrame({ type: "seedOffer", token })]);
      const port = await Promise.race([answered.promise, sleep(ANSWER_MS_MAX, 0)]);
      const sender = port > 0 ? await probedSender(link, { token, port, over, limitMbps }) : undefined;
      if (sender) return datagramCarrier(link, sender);
      link.send([encodeFrame({ type: "seedEnd", bytes: 0 })]);
      return tlsCarrier(link);
    },
  };
}

/** Started; undefined when the seed had better go over TLS. */
async function probedSender(
  link: Link,
  {
    token,
    port,
    over,
    limitMbps,
  }: { token: Uint8Array; port: number; over: SeedOver; limitMbps: number | undefined },
): Promise<DatagramSender | undefined> {
  const keys = datagramKeys(link.exportKeys(token));
  const sender = openDatagramSender({ keys, host: link.remoteHost, port, limitMbps });
  try {
    const path = await sender.probe();
    if (path.answered && chooseTransport(path, over) === "udp") {
      await sender.start(path);
      return sender;
    }
  } catch {
    // A thread or a socket that we do not get is one more reason for TLS.
  }
  sender.close();
  return undefined;
}

function datagramCarrier(link: Link, sender: DatagramSender): SeedCarrier {
  let counted = 0;

  /** What it costs on the way, and what repairs have cost since the last time. */
  async function untilAllowed(bytes: number): Promise<void> {
    const cost = bytes * WIRE_RATIO;
    const repaired = Math.max(0, (sender.stats()?.sentBytes ?? 0) - counted);
    counted += cost + repaired;
    await link.untilAllowed(cost + repaired);
  }

  return {
    transport: "udp",
    async send(frames) {
      for (const frame of frames) {
        await untilAllowed(frame.length);
        await sender.write(frame);
      }
    },
    async finish() {
      const bytes = await sender.finish();
      sender.close();
      link.send([encodeFrame({ type: "seedEnd", bytes })]);
    },
    close: sender.close,
  };
}
