/**
 * The one call this service makes to Understudy: after the commit of a critical write it asks that everything committed
 * so far is on disk at every in-sync shadow. A replicator that is being restarted is waited for, up to a deadline.
 */

import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { connectGrpc, GrpcError } from "@understudy/service/grpc";
import { readTls } from "@understudy/service/tls";
import { BarrierRequestSchema, ReplicationControl } from "@understudy/wire/gen/control";

const DEADLINE_MS = 8_000;
const RETRY_MS = 50;

export type Confirmation = "confirmed" | "late" | "lease-lost";

export type Barrier = {
  /** `stillPrimary` is asked between attempts: without the lease there is nothing left to confirm. */
  confirm(epoch: number, stillPrimary: () => boolean): Promise<Confirmation>;
  close(): void;
};

export function connectBarrier(options: {
  readonly resource: string;
  readonly instance: string;
  readonly address: string;
  readonly tlsDir: string;
}): Barrier {
  const client = connectGrpc(ReplicationControl, options.address, readTls(options.tlsDir));
  const { resource, instance } = options;
  return {
    async confirm(epoch, stillPrimary) {
      const request = create(BarrierRequestSchema, { resource, instance, epoch: BigInt(epoch) });
      const endMs = performance.now() + DEADLINE_MS;
      for (;;) {
        const leftMs = endMs - performance.now();
        if (leftMs <= 0) return "late";
        try {
          await client.barrier(request, { deadlineMs: leftMs });
          return "confirmed";
        } catch (error) {
          if (!(error instanceof GrpcError) || error.code === "permission-denied") throw error;
        }
        if (!stillPrimary()) return "lease-lost";
        await delay(RETRY_MS);
      }
    },
    close: () => client.close(),
  };
}
