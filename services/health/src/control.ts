/** HealthControl over gRPC: verdicts for those who act on them without the bus, and announcements of our own freezes. */

import { create } from "@bufbuild/protobuf";
import type { Clock } from "@understudy/model/clock";
import { HLC_ZERO, tickHlc } from "@understudy/model/hlc";
import { isLabel } from "@understudy/model/names";
import { GrpcError, type Implementation, implement } from "@understudy/service/grpc";
import { AnnounceResponseSchema, HealthControl } from "@understudy/wire/gen/control";
import { verdictToWire } from "@understudy/wire/roles";
import type { Board } from "./board.ts";
import { admit } from "./callers.ts";
import { type Event, SILENT_MAX_MS } from "./decide.ts";

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
      admit("watch", { ...call, resource });
      let time = HLC_ZERO;
      for await (const verdict of board.watch(resource, call.signal)) {
        time = tickHlc(time, clock.nowMs());
        yield verdictToWire(verdict, { time, source });
      }
    },
    async announce({ resource, instance, silentMs, reason }, call) {
      admit("announce", { ...call, resource });
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
