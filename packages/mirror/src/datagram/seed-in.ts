/**
 * The shadow's half of a seed over UDP: opens a port when the primary offers one, and takes the frames that come through
 * it in their order. The primary says over the link when it has sent all; what follows there waits until all is taken.
 */

import { MirrorError } from "../error.ts";
import { encodeFrame } from "../frames.ts";
import { frameSplitter } from "../splitter.ts";
import type { Link } from "../transport.ts";
import { datagramKeys } from "./keys.ts";
import { type DatagramReceiver, openDatagramReceiver } from "./receiver.ts";

/** Taking the rest of what has arrived takes no longer, unless the disk has stopped. */
const REST_MS_MAX = 30_000;

export interface SeedIntake {
  /** Answers an offer. */
  offered(token: Uint8Array): Promise<void>;
  /** Resolves when all `bytes` have been taken. */
  ended(bytes: number): Promise<void>;
  /** Why the seed was given up, if it was. */
  readonly failure: unknown;
  /** Resolves when the last frame that was being taken has been: none of it gets into what comes next. */
  close(): Promise<void>;
}

export function seedIntake(link: Link, take: (frame: Uint8Array) => Promise<void>): SeedIntake {
  let receiver: DatagramReceiver | undefined;
  let [bytesTaken, failure] = [0, undefined as unknown];
  let wake: () => void = () => undefined;
  let following: Promise<void> | undefined;

  async function follow(from: DatagramReceiver): Promise<void> {
    const splitter = frameSplitter();
    for await (const block of from.blocks()) {
      for (const frame of splitter.push(block)) {
        // What has arrived of a seed that was given up is of no use to whatever comes after it.
        if (receiver !== from) return;
        await take(frame);
      }
      bytesTaken += block.length;
      wake();
    }
  }

  return {
    async offered(token) {
      if (receiver) throw new MirrorError("garbage", "a second offer of a seed");
      try {
        receiver = await openDatagramReceiver({
          keys: datagramKeys(link.exportKeys(token)),
          host: link.localHost,
        });
      } catch {
        // No port to be had: the seed comes over the link.
        link.send([encodeFrame({ type: "seedAnswer", port: 0 })]);
        return;
      }
      const mine = receiver;
      following = follow(mine).catch((error) => {
        if (receiver !== mine) return;
        failure = error;
        wake();
        link.close();
      });
      link.send([encodeFrame({ type: "seedAnswer", port: mine.port })]);
    },
    async ended(bytes) {
      const late = setTimeout(() => {
        failure ??= new MirrorError("unreachable", `${bytesTaken} of ${bytes} bytes came over UDP`);
        wake();
      }, REST_MS_MAX);
      try {
        while (bytesTaken < bytes && !failure) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        clearTimeout(late);
      }
      await this.close();
      if (failure) throw failure;
    },
    get failure() {
      return failure;
    },
    async close() {
      const ending = receiver;
      receiver = undefined;
      ending?.close();
      wake();
      await following;
    },
  };
}
