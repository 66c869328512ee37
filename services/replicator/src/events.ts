/** What the core is told (events) and what it asks its shell to do (effects). Every effect that can fail is answered by an event. */

import type { ShadowProgress } from "@understudy/mirror/engine";
import type { Roles, Verdict } from "@understudy/model/instance";
import type { ResourceSpec } from "@understudy/model/policy";
import type { Epoch, Position } from "@understudy/model/position";
import type { FenceResult, RoleOrder, RunningInstance } from "@understudy/resource/driver";
import type { Authority, Claim, Member, Outcome } from "@understudy/state/store";
import type { Kept } from "./record.ts";
import type { ResourceState } from "./resource-state.ts";

export type StoreCall = "read" | "claim" | "commit" | "renew" | "set-in-sync" | "save";

export type Request =
  | { readonly kind: "mirror" }
  | { readonly kind: "unmirror" }
  | { readonly kind: "switchover"; readonly target: string }
  | { readonly kind: "promote"; readonly target: string; readonly reason: string }
  | { readonly kind: "recreate"; readonly instance: string }
  | { readonly kind: "scale"; readonly shadows: number };

export type Refusal = {
  readonly done: false;
  readonly code: "not-found" | "failed-precondition" | "aborted";
  readonly why: string;
};
export type Answer = { readonly done: true } | Refusal;

/** A shadow as the host that keeps it tells of it. */
export type KeptElsewhere = Member & {
  readonly phase: "seeding" | "starting" | "serving" | "gone";
  readonly why: string;
  readonly address: string;
  readonly pid: number;
  readonly pidStartTicks: number;
  readonly open: boolean;
};

export type Event =
  /** What ran before this process, and what it had kept on disk. */
  | {
      readonly kind: "adopted";
      readonly kept: Kept | undefined;
      readonly running: readonly RunningInstance[];
    }
  | { readonly kind: "configured"; readonly spec: ResourceSpec }
  | { readonly kind: "tick" }
  | { readonly kind: "store-read"; readonly authority: Authority }
  | { readonly kind: "store-failed"; readonly call: StoreCall; readonly why: string }
  | { readonly kind: "claimed"; readonly outcome: Outcome<Claim> }
  | { readonly kind: "committed"; readonly outcome: Outcome<Authority>; readonly sentBootMs: number }
  | { readonly kind: "renewed"; readonly outcome: Outcome<Authority>; readonly sentBootMs: number }
  | { readonly kind: "in-sync-saved"; readonly members: readonly Member[]; readonly outcome: Outcome<number> }
  | { readonly kind: "saved"; readonly position: Position; readonly outcome: Outcome<Position> }
  | { readonly kind: "fenced"; readonly instance: string; readonly result: FenceResult }
  | {
      readonly kind: "salvaged";
      readonly complete: boolean;
      /** Undefined when the old primary's end of the mirror was not open. */
      readonly seen: { readonly sealed: Position; readonly shadows: readonly ShadowProgress[] } | undefined;
    }
  | { readonly kind: "promoted"; readonly member: Member; readonly epoch: Epoch; readonly position: Position }
  | { readonly kind: "primary-opened"; readonly member: Member }
  | { readonly kind: "shadow-opened"; readonly member: Member }
  | { readonly kind: "started"; readonly member: Member; readonly running: RunningInstance }
  /** Its change of role took a restart: it is to be found elsewhere now. */
  | { readonly kind: "moved"; readonly member: Member; readonly running: RunningInstance }
  | { readonly kind: "ready"; readonly member: Member }
  /** Fenced and let go; its folder is still there. */
  | { readonly kind: "ended"; readonly member: Member }
  | { readonly kind: "removed"; readonly member: Member }
  | { readonly kind: "failed"; readonly member: Member; readonly what: string; readonly why: string }
  | { readonly kind: "exited"; readonly member: Member; readonly detail: string }
  | { readonly kind: "gate-opened"; readonly instance: string; readonly address: string }
  | { readonly kind: "progress"; readonly sealed: Position; readonly shadows: readonly ShadowProgress[] }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "scale-wanted"; readonly shadows: number }
  /** What the host that leads asks of us as one that keeps shadows. */
  | {
      readonly kind: "host-asked";
      readonly asks: "open" | "start" | "end" | "remove";
      readonly member: Member;
    }
  | { readonly kind: "look-at-store" }
  /** We promise the host that leads not to take the lead for so long. */
  | { readonly kind: "promise-asked"; readonly leaseMs: number }
  /** Every other host that could lead has promised not to, or one has not. */
  | { readonly kind: "promises"; readonly given: boolean; readonly sentBootMs: number }
  /** What another host keeps for us; `first`: after a new connection, so that what it does not name is not there. */
  | {
      readonly kind: "host-told";
      readonly host: string;
      readonly shadows: readonly KeptElsewhere[];
      readonly first: boolean;
    }
  | { readonly kind: "host-away"; readonly host: string }
  | { readonly kind: "asked"; readonly id: number; readonly request: Request };

export type Effect =
  | { readonly kind: "read-store" }
  | { readonly kind: "claim"; readonly epoch: Epoch }
  | { readonly kind: "abandon"; readonly epoch: Epoch }
  | {
      readonly kind: "commit";
      readonly epoch: Epoch;
      readonly primary: Member;
      /** The host that leads from then on; empty: this one. */
      readonly holder: string;
      readonly inSync: readonly Member[];
      readonly leaseMs: number;
    }
  /** Asks these hosts not to take the lead for one more lease. */
  | { readonly kind: "ask-promises"; readonly hosts: readonly string[]; readonly leaseMs: number }
  /** Another host leads now: it is told, and the ends of the mirror that were ours are closed. */
  | { readonly kind: "hand-over"; readonly host: string }
  /** A shadow that another host keeps and nobody knows of any more. */
  | { readonly kind: "dismiss"; readonly host: string; readonly member: Member }
  | { readonly kind: "renew"; readonly epoch: Epoch }
  | {
      readonly kind: "set-in-sync";
      readonly epoch: Epoch;
      readonly revision: number;
      readonly members: readonly Member[];
    }
  /** The primary's position, and each shadow's. */
  | {
      readonly kind: "save";
      readonly position: Position;
      readonly shadows: readonly { readonly member: Member; readonly position: Position }[];
    }
  /** Ends the whole process group; for a planned change only `stop-writes`. */
  | { readonly kind: "fence"; readonly member: Member }
  | { readonly kind: "stop-writes"; readonly member: Member; readonly order: RoleOrder }
  /** Seals what the old primary's folder holds and waits until these shadows have it on disk. */
  | { readonly kind: "salvage"; readonly instances: readonly string[]; readonly withinMs: number }
  /** Turns this instance's end of the mirror around and tells it that it is the primary. */
  | { readonly kind: "promote"; readonly member: Member; readonly epoch: Epoch; readonly order: RoleOrder }
  | { readonly kind: "open-primary"; readonly member: Member; readonly epoch: Epoch; readonly from: Position }
  | { readonly kind: "open-shadow"; readonly member: Member }
  | { readonly kind: "start"; readonly member: Member; readonly order: RoleOrder }
  /** An instance that ran before us: learn of its end. */
  | { readonly kind: "watch"; readonly running: RunningInstance }
  /** `address`: where it was before, to be taken again if it is free; empty: anywhere. */
  | { readonly kind: "open-gate"; readonly instance: string; readonly address: string }
  | { readonly kind: "close-gate"; readonly instance: string }
  | { readonly kind: "set-role"; readonly member: Member; readonly order: RoleOrder }
  | { readonly kind: "end"; readonly member: Member }
  | { readonly kind: "remove"; readonly member: Member }
  | { readonly kind: "keep"; readonly kept: Kept }
  | { readonly kind: "publish-roles"; readonly roles: Roles; readonly reason: string }
  | { readonly kind: "announce"; readonly what: string; readonly text: string; readonly instance: string }
  | { readonly kind: "answer"; readonly id: number; readonly answer: Answer };

export type Step = { readonly next: ResourceState; readonly effects: readonly Effect[] };

export function step(next: ResourceState, ...effects: readonly Effect[]): Step {
  return { next, effects };
}

/** Goes on from what an earlier part decided. */
export function then(first: Step, more: (state: ResourceState) => Step): Step {
  const second = more(first.next);
  return { next: second.next, effects: [...first.effects, ...second.effects] };
}

export function announce(what: string, text: string, instance = ""): Extract<Effect, { kind: "announce" }> {
  return { kind: "announce", what, text, instance };
}
