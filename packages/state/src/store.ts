/**
 * The authority over roles, leases and in-sync sets: a small interface with one compare-and-set per step of a failover.
 * Two implementations keep the same contract (contract.ts): redis.ts (Lua scripts) and memory.ts.
 * No caller's clock enters a decision: deadlines are kept by the store's own clock; a lease carries a sequence number,
 * and whoever watches it measures its age from its own last observation of a change.
 */

import type { Epoch, Position } from "@understudy/model/position";

export type Lease = {
  /** The replicator that holds the right for its primary: "host-a". */
  readonly holder: string;
  /** Raised by each renewal. */
  readonly sequence: number;
  readonly durationMs: number;
};

export type Claim = {
  /** The epoch that a commit of this claim will put in force. */
  readonly epoch: Epoch;
  readonly coordinator: string;
  /** Of the store's clock. */
  readonly expiresInMs: number;
};

export type Member = { readonly instance: string; readonly incarnation: string };

export type Authority = {
  readonly resource: string;
  /** 0: nobody was ever primary. */
  readonly epoch: Epoch;
  readonly primary: Member | undefined;
  readonly lease: Lease | undefined;
  readonly claim: Claim | undefined;
  readonly inSync: readonly Member[];
  /** Raised by each change of the in-sync set: the compare value of `setInSync`. */
  readonly inSyncRevision: number;
  /** The newest sealed position saved by a primary. */
  readonly position: Position;
};

/** Versioned state of one shadow, as last saved. */
export type ShadowRecord = { readonly member: Member; readonly position: Position };

/** A lost race or a stale caller: what was found instead. */
export type Outcome<T> =
  | { readonly saved: true; readonly value: T }
  | {
      readonly saved: false;
      readonly why: "epoch" | "claimed" | "revision" | "not-holder" | "version" | "not-member";
      readonly found: Authority;
    };

export interface Store {
  read(resource: string): Promise<Authority>;
  /**
   * Claims the next epoch. Fails while another coordinator's claim has not expired; the same coordinator resumes its own.
   */
  claim(request: {
    resource: string;
    epoch: Epoch;
    coordinator: string;
    ttlMs: number;
  }): Promise<Outcome<Claim>>;
  abandon(request: { resource: string; epoch: Epoch; coordinator: string }): Promise<void>;
  /**
   * Puts the claimed epoch in force: new primary, its lease, and an in-sync set without it. Only for the coordinator of an unexpired
   * claim, and only for a primary that cannot miss an acknowledged critical write: a member of the in-sync set, the same
   * instance started again by the holder of its lease, or anyone when nobody was primary before. Never adds members.
   */
  commit(request: {
    resource: string;
    epoch: Epoch;
    coordinator: string;
    primary: Member;
    holder: string;
    leaseMs: number;
    inSync: readonly Member[];
  }): Promise<Outcome<Authority>>;
  /**
   * Prolongs the lease of the epoch in force. Refused under another coordinator's claim, or a lease could never be waited out.
   * Answers with all that is held, so that a holder notices a store that was set back.
   */
  renew(request: { resource: string; epoch: Epoch; holder: string }): Promise<Outcome<Authority>>;
  /** Replaces the in-sync set when epoch and revision are still those. */
  setInSync(request: {
    resource: string;
    epoch: Epoch;
    revision: number;
    members: readonly Member[];
  }): Promise<Outcome<number>>;
  /** Saves a sealed position of the primary; refuses lower epochs and versions. */
  savePosition(request: { resource: string; position: Position }): Promise<Outcome<Position>>;
  /** Versioned state of one shadow; refuses lower epochs, and lower versions of the same incarnation. */
  saveShadow(request: { resource: string; member: Member; position: Position }): Promise<Outcome<Position>>;
  readShadow(resource: string, instance: string): Promise<ShadowRecord | undefined>;
  /**
   * After a lost store: `epoch` is the highest that was reached. A store that holds no higher one is put above it, and what it
   * says of primary and in-sync set is forgotten: in an older backup it no longer holds, not even under the same epoch.
   * For `understudy state recover` only.
   */
  recover(request: { resource: string; epoch: Epoch }): Promise<Authority>;
  /** Throws StoreError "unsafe" unless the server keeps what it acknowledges (appendfsync always, noeviction). */
  checkDurability(): Promise<void>;
  close(): Promise<void>;
}

export type StoreErrorCode = "unreachable" | "timeout" | "unsafe" | "refused" | "closed";

export class StoreError extends Error {
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreError";
    this.code = code;
  }
}
