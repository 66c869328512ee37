/** The receiving end of a seed over UDP, as the mirror sees it: a port to name to the sender, and its bytes in order. */

import { Worker } from "node:worker_threads";
import { MirrorError, type MirrorErrorCode } from "../error.ts";
import type { DatagramKeys } from "./keys.ts";

export type ReceiverSetup = { readonly keys: DatagramKeys; readonly host: string };

export type ToReceiver = { readonly kind: "took"; readonly blocks: number } | { readonly kind: "close" };

export type FromReceiver =
  | { readonly kind: "listening"; readonly port: number }
  | { readonly kind: "blocks"; readonly blocks: readonly Uint8Array[] }
  | { readonly kind: "failed"; readonly code: MirrorErrorCode; readonly reason: string };

export interface DatagramReceiver {
  readonly port: number;
  /** As they come; whoever asks for the next block has taken the one before, and a slow consumer slows the sender. */
  blocks(): AsyncGenerator<Uint8Array>;
  close(): void;
}

/** Listens at `host`; throws MirrorError "io" when that cannot be done. */
export async function openDatagramReceiver(setup: ReceiverSetup): Promise<DatagramReceiver> {
  const worker = new Worker(new URL("./receiver-worker.ts", import.meta.url), { workerData: setup });
  const waiting: Uint8Array[] = [];
  let failure: MirrorError | undefined;
  let wake: () => void = () => undefined;
  let port = 0;

  function fail(error: MirrorError): void {
    failure ??= error;
    wake();
  }

  async function until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (failure) throw failure;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  worker.on("message", (message: FromReceiver) => {
    switch (message.kind) {
      case "listening":
        port = message.port;
        break;
      case "blocks":
        for (const block of message.blocks) waiting.push(block);
        break;
      case "failed":
        fail(new MirrorError(message.code, message.reason));
        break;
    }
    wake();
  });
  worker.on("error", (cause) =>
    fail(new MirrorError("io", `datagram receiver: ${String(cause)}`, { cause })),
  );
  worker.on("exit", () => fail(new MirrorError("closed", "the datagram receiver is closed")));
  await until(() => port > 0);

  return {
    port,
    async *blocks() {
      for (;;) {
        await until(() => waiting.length > 0);
        yield waiting.shift()!;
        worker.postMessage({ kind: "took", blocks: 1 } satisfies ToReceiver);
      }
    },
    close() {
      fail(new MirrorError("closed", "the datagram receiver is closed"));
      worker.postMessage({ kind: "close" } satisfies ToReceiver);
    },
  };
}
