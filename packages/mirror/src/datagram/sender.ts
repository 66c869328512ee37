/**
 * The sending end of a seed over UDP, as the mirror sees it: bytes in, in order, with backpressure. All work is done by
 * a thread of its own (sender-worker.ts), so that capturing and sealing do not disturb its timing.
 */

import { Worker } from "node:worker_threads";
import { MirrorError, type MirrorErrorCode } from "../error.ts";
import { WINDOW_BLOCKS } from "./inbox.ts";
import type { DatagramKeys } from "./keys.ts";
import type { PathProbe } from "./probe.ts";

/** Written and not yet taken at the other end: what may be under way, and a little to go on with. */
const WAITING_BLOCKS_MAX = WINDOW_BLOCKS + 16;

export type SenderSetup = {
  readonly keys: DatagramKeys;
  readonly host: string;
  readonly port: number;
  readonly limitMbps: number | undefined;
};

export type SenderStats = {
  readonly packets: number;
  readonly repairs: number;
  /** Pieces that came again though they were there. */
  readonly duplicates: number;
  /** UDP payload, all transmissions. */
  readonly sentBytes: number;
  readonly rttMs: number;
  readonly lossShare: number;
  readonly phase: string;
  readonly mtu: number;
};

export type ToSender =
  | { readonly kind: "start"; readonly mtu: number; readonly rttMs: number }
  | { readonly kind: "block"; readonly bytes: Uint8Array }
  | { readonly kind: "close" };

export type FromSender =
  | { readonly kind: "probed"; readonly probe: PathProbe }
  | { readonly kind: "started"; readonly blockBytes: number }
  | { readonly kind: "taken"; readonly blocks: number }
  | { readonly kind: "stats"; readonly stats: SenderStats }
  | { readonly kind: "failed"; readonly code: MirrorErrorCode; readonly reason: string };

export interface DatagramSender {
  /** Resolves with what is known of the path; at most 2 s. */
  probe(): Promise<PathProbe>;
  /** Begins; the path must have answered the probe. */
  start(path: Extract<PathProbe, { answered: true }>): Promise<void>;
  /** Resolves when more may be written. Rejects with MirrorError "unreachable" when the path has fallen silent. */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when the other end has taken everything, with how many bytes that was. */
  finish(): Promise<number>;
  /** The latest, at most 100 ms old. */
  stats(): SenderStats | undefined;
  close(): void;
}

export function openDatagramSender(setup: SenderSetup): DatagramSender {
  const worker = new Worker(new URL("./sender-worker.ts", import.meta.url), { workerData: setup });
  let [posted, taken, blockBytes, bytesWritten] = [0, 0, 0, 0];
  let filling: { readonly bytes: Uint8Array; used: number } | undefined;
  let stats: SenderStats | undefined;
  let failure: MirrorError | undefined;
  const wakes = new Set<() => void>();
  const said = new Map<FromSender["kind"], FromSender>();

  function fail(error: MirrorError): void {
    failure ??= error;
    wake();
  }

  function wake(): void {
    for (const each of [...wakes]) each();
  }

  worker.on("message", (message: FromSender) => {
    said.set(message.kind, message);
    if (message.kind === "taken") taken = message.blocks;
    if (message.kind === "stats") stats = message.stats;
    if (message.kind === "failed") fail(new MirrorError(message.code, message.reason));
    wake();
  });
  worker.on("error", (cause) => fail(new MirrorError("io", `datagram sender: ${String(cause)}`, { cause })));
  worker.on("exit", () => fail(new MirrorError("closed", "the datagram sender is closed")));

  async function until(holds: () => boolean): Promise<void> {
    for (;;) {
      if (failure) throw failure;
      if (holds()) return;
      await new Promise<void>((resolve) => {
        const woken = () => {
          wakes.delete(woken);
          resolve();
        };
        wakes.add(woken);
      });
    }
  }

  async function heard<K extends FromSender["kind"]>(kind: K): Promise<Extract<FromSender, { kind: K }>> {
    await until(() => said.has(kind));
    return said.get(kind) as Extract<FromSender, { kind: K }>;
  }

  function post(): void {
    if (!filling) return;
    const { bytes, used } = filling;
    filling = undefined;
    posted += 1;
    worker.postMessage({ kind: "block", bytes: bytes.subarray(0, used) } satisfies ToSender, [
      bytes.buffer as ArrayBuffer,
    ]);
  }

  return {
    probe: async () => (await heard("probed")).probe,
    async start({ mtu, rttMs }) {
      worker.postMessage({ kind: "start", mtu, rttMs } satisfies ToSender);
      blockBytes = (await heard("started")).blockBytes;
    },
    async write(bytes) {
      for (let at = 0; at < bytes.length; ) {
        if (!filling) {
          await until(() => posted - taken < WAITING_BLOCKS_MAX);
          filling = { bytes: new Uint8Array(blockBytes), used: 0 };
        }
        const part = bytes.subarray(at, at + blockBytes - filling.used);
        filling.bytes.set(part, filling.used);
        filling.used += part.length;
        at += part.length;
        if (filling.used === blockBytes) post();
      }
      bytesWritten += bytes.length;
    },
    async finish() {
      post();
      await until(() => taken === posted);
      return bytesWritten;
    },
    stats: () => stats,
    close() {
      fail(new MirrorError("closed", "the datagram sender is closed"));
      worker.postMessage({ kind: "close" } satisfies ToSender);
    },
  };
}
