/** Headers, HLCs and positions between the domain's words and the wire's. */

import { create } from "@bufbuild/protobuf";
import { HLC_ZERO, type Hlc } from "@understudy/model/hlc";
import { POSITION_ZERO, type Position } from "@understudy/model/position";
import {
  type Header,
  HeaderSchema,
  HlcSchema,
  PositionSchema,
  type Hlc as WireHlc,
  type Position as WirePosition,
} from "@understudy/wire/gen/header";

/** Version of the schema we write. Readers refuse a higher one. */
export const SCHEMA_VERSION = 1;

export function hlcToWire(hlc: Hlc): WireHlc {
  return create(HlcSchema, { wallMs: BigInt(Math.floor(hlc.wallMs)), counter: hlc.counter });
}

export function hlcFromWire(wire: WireHlc | undefined): Hlc {
  return wire ? { wallMs: Number(wire.wallMs), counter: wire.counter } : HLC_ZERO;
}

export function headerToWire(header: { resource?: string; time: Hlc; source: string }): Header {
  return create(HeaderSchema, {
    schema: SCHEMA_VERSION,
    resource: header.resource ?? "",
    time: hlcToWire(header.time),
    source: header.source,
  });
}

export function positionToWire(position: Position): WirePosition {
  return create(PositionSchema, {
    epoch: BigInt(position.epoch),
    version: BigInt(position.version),
    hlc: hlcToWire(position.hlc),
    root: Buffer.from(position.root, "hex"),
  });
}

export function positionFromWire(wire: WirePosition | undefined): Position {
  if (!wire) return POSITION_ZERO;
  return {
    epoch: Number(wire.epoch),
    version: Number(wire.version),
    hlc: hlcFromWire(wire.hlc),
    root: Buffer.from(wire.root).toString("hex"),
  };
}
