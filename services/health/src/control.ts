/** HealthControl over gRPC: verdicts for those who act on them without the bus, and announcements of our own freezes. */

import { create } from "@bufbuild/protobuf";
import type { Clock } from "@understudy/model/clock";
import { HLC_ZERO, tickHlc } from "@understudy/model/hlc";
import { isLabel } from "@understudy/model/names";
import { type Call, GrpcError, type Implementation, implement } from "@understudy/service/grpc";
import { isApplication } from "@understudy/service/tls";
import { AnnounceResponseSchema, HealthControl } from "@understudy/wire/gen/control";
import { verdictToWire } from "@understudy/wire/roles";
import type { Board } from "./board.ts";
import { type Event, SILENT_MAX_MS } from "./decide.ts";

/** Who may ask health not to believe its eyes. */
const ANNOUNCERS: ReadonlySet<string> = new Set(["replicator", "cli"]);
const REASON_MAX = 200;

export function healthControl({
  board,
  clock,
  source,
  take,
}: {
  board: Board;
  clock: Clock;
  source: string;
  take: (event: Event) => void;
}): Implementation {
  return implement(HealthControl, {
    async *watch({ resource }, call) {
      refuseApplications(call);
      let time = HLC_ZERO;
      for await (const verdict of board.watch(resource, call.signal)) {
        time = tickHlc(time, clock.nowMs());
        yield verdictToWire(verdict, { time, source });
      }
    },
    async announce({ resource, instance, silentMs, reason }, call) {
      if (!ANNOUNCERS.has(call.peer)) {
        throw new GrpcError("permission-denied", `"${call.peer}" may not announce a silence`);
      }
      if (!isLabel(resource) || !isLabel(instance)) {
        throw new GrpcError("invalid-argument", "resource and instance must be DNS labels");
      }
      if (silentMs > SILENT_MAX_MS) {
        throw new GrpcError("invalid-argument", `silent_ms is ${silentMs}, at most ${SILENT_MAX_MS}`);
      }
      take({ kind: "announced", resource, instance, silentMs, reason: reason.slice(0, REASON_MAX) });
      return create(AnnounceResponseSchema);
    },
  });
}

/** Certificates of applications are for Barrier only. */
function refuseApplications(call: Call): void {
  if (isApplication(call.peer)) {
    throw new GrpcError("permission-denied", `"${call.peer}" may not watch verdicts`);
  }
}
