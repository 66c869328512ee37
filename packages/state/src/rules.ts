/**
 * The rules of the store as pure functions: what each compare-and-set accepts, and what holds afterwards. memory.ts runs
 * them as they are; lua/*.lua says the same inside Redis, and contract.ts holds both to it.
 */

import { comparePositions, type Epoch, POSITION_ZERO, type Position } from "@understudy/model/position";
import type { Authority, Claim, Member, Outcome, ShadowRecord } from "./store.ts";

/** One resource as kept: the claim carries its deadline on the store's clock. */
export type Kept = Omit<Authority, "claim"> & {
  readonly claim:
    | { readonly epoch: Epoch; readonly coordinator: string; readonly deadlineMs: number }
    | undefined;
};

export type Why = Extract<Outcome<never>, { saved: false }>["why"];
export type Ruling<T> =
  | { readonly saved: true; readonly kept: Kept; readonly value: T }
  | { readonly saved: false; readonly why: Why };

export function emptyKept(resource: string): Kept {
  return {
    resource,
    epoch: 0,
    primary: undefined,
    lease: undefined,
    claim: undefined,
    inSync: [],
    inSyncRevision: 0,
    position: POSITION_ZERO,
  };
}

/** What a reader is told; an expired claim is no claim. */
export function authorityOf(kept: Kept, storeMs: number): Authority {
  const claim = openClaim(kept, storeMs);
  return {
    ...kept,
    claim: claim && {
      epoch: claim.epoch,
      coordinator: claim.coordinator,
      expiresInMs: claim.deadlineMs - storeMs,
    },
  };
}

function openClaim(kept: Kept, storeMs: number): Kept["claim"] {
  return kept.claim && kept.claim.deadlineMs > storeMs ? kept.claim : undefined;
}

export function sameMember(a: Member, b: Member): boolean {
  return a.instance === b.instance && a.incarnation === b.incarnation;
}

export function claim(
  kept: Kept,
  request: { epoch: Epoch; coordinator: string; ttlMs: number },
  storeMs: number,
): Ruling<Claim> {
  if (request.epoch !== kept.epoch + 1) return { saved: false, why: "epoch" };
  const open = openClaim(kept, storeMs);
  if (open && open.coordinator !== request.coordinator) return { saved: false, why: "claimed" };
  const { epoch, coordinator, ttlMs } = request;
  return {
    saved: true,
    kept: { ...kept, claim: { epoch, coordinator, deadlineMs: storeMs + ttlMs } },
    value: { epoch, coordinator, expiresInMs: ttlMs },
  };
}

export function abandon(kept: Kept, request: { epoch: Epoch; coordinator: string }): Kept {
  const ours = kept.claim?.epoch === request.epoch && kept.claim.coordinator === request.coordinator;
  return ours ? { ...kept, claim: undefined } : kept;
}

export type CommitRequest = {
  readonly epoch: Epoch;
  readonly coordinator: string;
  readonly primary: Member;
  readonly holder: string;
  readonly leaseMs: number;
  readonly inSync: readonly Member[];
};

export function commit(kept: Kept, request: CommitRequest, storeMs: number): Ruling<Authority> {
  if (request.epoch !== kept.epoch + 1) return { saved: false, why: "epoch" };
  const open = openClaim(kept, storeMs);
  if (open?.coordinator !== request.coordinator || open.epoch !== request.epoch)
    return { saved: false, why: "claimed" };
  if (!mayLead(kept, request)) return { saved: false, why: "not-member" };
  const stays = (member: Member) => kept.inSync.some((known) => sameMember(known, member));
  if (!request.inSync.every(stays)) return { saved: false, why: "not-member" };
  const next: Kept = {
    ...kept,
    epoch: request.epoch,
    primary: request.primary,
    lease: {
      holder: request.holder,
      sequence: (kept.lease?.sequence ?? 0) + 1,
      durationMs: request.leaseMs,
    },
    claim: undefined,
    inSync: request.inSync.filter((member) => member.instance !== request.primary.instance),
    inSyncRevision: kept.inSyncRevision + 1,
  };
  return { saved: true, kept: next, value: authorityOf(next, storeMs) };
}

/** Whether this primary has every acknowledged critical write. */
function mayLead(kept: Kept, request: CommitRequest): boolean {
  if (!kept.primary) return true;
  const restarted =
    kept.primary.instance === request.primary.instance && kept.lease?.holder === request.holder;
  return restarted || kept.inSync.some((member) => sameMember(member, request.primary));
}

export function renew(
  kept: Kept,
  request: { epoch: Epoch; holder: string },
  storeMs: number,
): Ruling<Authority> {
  if (request.epoch !== kept.epoch) return { saved: false, why: "epoch" };
  if (kept.lease?.holder !== request.holder) return { saved: false, why: "not-holder" };
  const open = openClaim(kept, storeMs);
  if (open && open.coordinator !== request.holder) return { saved: false, why: "claimed" };
  const next = { ...kept, lease: { ...kept.lease, sequence: kept.lease.sequence + 1 } };
  return { saved: true, kept: next, value: authorityOf(next, storeMs) };
}

export function setInSync(
  kept: Kept,
  request: { epoch: Epoch; revision: number; members: readonly Member[] },
): Ruling<number> {
  if (request.epoch !== kept.epoch) return { saved: false, why: "epoch" };
  if (request.revision !== kept.inSyncRevision) return { saved: false, why: "revision" };
  const inSyncRevision = kept.inSyncRevision + 1;
  return {
    saved: true,
    kept: { ...kept, inSync: [...request.members], inSyncRevision },
    value: inSyncRevision,
  };
}

export function savePosition(kept: Kept, { position }: { position: Position }): Ruling<Position> {
  if (position.epoch !== kept.epoch) return { saved: false, why: "epoch" };
  if (comparePositions(position, kept.position) < 0) return { saved: false, why: "version" };
  return { saved: true, kept: { ...kept, position }, value: position };
}

/** Why a shadow's state is stale; undefined when it may be saved. */
export function refuseShadow(
  kept: Kept,
  saved: ShadowRecord | undefined,
  offered: ShadowRecord,
): Why | undefined {
  if (offered.position.epoch > kept.epoch) return "epoch";
  if (!saved) return undefined;
  if (offered.position.epoch < saved.position.epoch) return "epoch";
  if (offered.member.incarnation !== saved.member.incarnation) return undefined;
  return comparePositions(offered.position, saved.position) < 0 ? "version" : undefined;
}

export function recover(kept: Kept, { epoch }: { epoch: Epoch }): Kept {
  if (epoch < kept.epoch) return kept;
  return {
    ...kept,
    epoch: epoch + 1,
    primary: undefined,
    lease: undefined,
    claim: undefined,
    inSync: [],
    inSyncRevision: kept.inSyncRevision + 1,
  };
}
