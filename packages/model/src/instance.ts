/** One running copy of a resource, as every service sees it. */

import type { Epoch } from "./position.ts";

export type Role = "primary" | "shadow" | "fenced";

export type InstancePhase = "seeding" | "starting" | "serving" | "draining" | "gone";

export type Instance = {
  readonly name: string;
  /** New after each re-creation: an old promise or verdict about the same name does not count for the new one. */
  readonly incarnation: string;
  readonly host: string;
  readonly role: Role;
  readonly phase: InstancePhase;
  /** "127.0.0.1:40001"; empty before it is started. */
  readonly address: string;
  /** Where its replicator answers `GET /primary` for it. */
  readonly gateAddress: string;
  /** 0 when it is not a running process. */
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: with the pid it names a process beyond reuse of the number. */
  readonly pidStartTicks: number;
  readonly requestedAtMs: number;
  /** 0 until it was ready to serve. */
  readonly readyAtMs: number;
};

/** The whole membership of a resource. `primary` is empty while a failover is under way. */
export type Roles = {
  readonly resource: string;
  readonly epoch: Epoch;
  readonly primary: string;
  readonly instances: readonly Instance[];
};

export type VerdictState = "up" | "suspect" | "down";

export type Evidence = {
  readonly signal: "process" | "http" | "tcp" | "exec" | "balancer";
  readonly alive: boolean;
  readonly detail: string;
  readonly ageMs: number;
};

export type Verdict = {
  readonly resource: string;
  readonly instance: string;
  readonly incarnation: string;
  readonly state: VerdictState;
  readonly sinceMs: number;
  readonly evidence: readonly Evidence[];
};
