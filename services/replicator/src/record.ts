/**
 * What the replicator keeps on disk of one resource, so that a restart takes over what runs, and so that a store that
 * forgot its epochs is noticed. Positions are the mirror's own business.
 */

import type { Epoch } from "@understudy/model/position";
import type { Authority } from "@understudy/state/store";
import { z } from "zod";
import type { ResourceState } from "./resource-state.ts";

const memberSchema = z.object({ instance: z.string(), incarnation: z.string() });
const positionSchema = z.object({
  epoch: z.number(),
  version: z.number(),
  hlc: z.object({ wallMs: z.number(), counter: z.number() }),
  root: z.string(),
});

const keptSchema = z.object({
  highestEpoch: z.number(),
  wantedShadows: z.number(),
  protect: z.boolean(),
  made: z.number(),
  authority: z
    .object({
      resource: z.string(),
      epoch: z.number(),
      primary: memberSchema.optional(),
      lease: z.object({ holder: z.string(), sequence: z.number(), durationMs: z.number() }).optional(),
      inSync: z.array(memberSchema),
      inSyncRevision: z.number(),
      position: positionSchema,
    })
    .optional(),
  instances: z.array(
    z.object({
      name: z.string(),
      incarnation: z.string(),
      host: z.string().default(""),
      role: z.enum(["primary", "shadow"]),
      gateAddress: z.string(),
      requestedAtMs: z.number(),
      readyAtMs: z.number(),
    }),
  ),
});

export type Kept = {
  readonly highestEpoch: Epoch;
  readonly wantedShadows: number;
  readonly protect: boolean;
  readonly made: number;
  readonly authority: Authority | undefined;
  readonly instances: readonly KeptInstance[];
};

export type KeptInstance = {
  readonly name: string;
  readonly incarnation: string;
  readonly host: string;
  readonly role: "primary" | "shadow";
  readonly gateAddress: string;
  readonly requestedAtMs: number;
  readonly readyAtMs: number;
};

/** Leases and positions change all the time and are not worth a write of their own. */
export function keptOf(state: ResourceState): Kept {
  const { highestEpoch, wantedShadows, protect, made, authority } = state;
  return {
    highestEpoch,
    wantedShadows,
    protect,
    made,
    authority: authority && {
      ...authority,
      claim: undefined,
      lease: authority.lease && { ...authority.lease, sequence: 0 },
    },
    instances: state.instances.map(
      ({ name, incarnation, host, role, gateAddress, requestedAtMs, readyAtMs }) => ({
        name,
        incarnation,
        host,
        role,
        gateAddress,
        requestedAtMs,
        readyAtMs,
      }),
    ),
  };
}

/** Throws an Error that says which field is wrong: a record that cannot be read must not be mistaken for none. */
export function parseKept(text: string): Kept {
  const { authority, ...rest } = keptSchema.parse(JSON.parse(text));
  if (!authority) return { ...rest, authority: undefined };
  const { primary, lease } = authority;
  return { ...rest, authority: { ...authority, primary, lease, claim: undefined } };
}
