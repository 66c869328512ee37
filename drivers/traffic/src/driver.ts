/**
 * The boundary to one kind of load balancer. A driver brings the balancer to a whole desired plan and says what really
 * is in force; it decides nothing. One file per implementation, all held to contract.ts.
 */

export type PlanTarget = {
  readonly instance: string;
  /** "127.0.0.1:40001" */
  readonly address: string;
  /** Where `GET /primary` says whether this instance may take writes. */
  readonly gateAddress: string;
  readonly readPpm: number;
  /** At most one target of a plan takes writes. */
  readonly writes: boolean;
  /** No new work, finish what is in flight. */
  readonly drain: boolean;
};

/** The whole desired state of a pool. Applying the same plan twice changes nothing. */
export type Plan = {
  readonly pool: string;
  readonly revision: number;
  readonly epoch: number;
  readonly targets: readonly PlanTarget[];
};

export type Applied = {
  readonly revision: number;
  readonly epoch: number;
  /** What the balancer was set to, as its own integers allow. */
  readonly shares: readonly { readonly instance: string; readonly setPpm: number }[];
};

/** Counters since the balancer started, per instance. */
export type TargetCounters = {
  readonly instance: string;
  readonly reads: number;
  readonly writes: number;
  readonly errors: number;
  readonly inFlight: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** As the balancer's own checks see it. */
  readonly readUp: boolean;
  readonly writeUp: boolean;
};

export type PoolCounters = {
  readonly targets: readonly TargetCounters[];
  /** Arrivals of the whole pool, whoever served them or not: offered demand. */
  readonly readsOffered: number;
  readonly writesOffered: number;
  readonly queued: number;
  readonly errors: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
};

export interface TrafficDriver {
  /**
   * Brings the balancer to the plan. Refuses a plan whose (epoch, revision) is lower than one applied before
   * (`stale-plan`). Throws DriverError; after a failure the next apply starts from the balancer's real state.
   */
  apply(plan: Plan, signal?: AbortSignal): Promise<Applied>;
  /** The plan in force, as the balancer itself tells it; undefined when it has had none since it started. */
  read(): Promise<Plan | undefined>;
  counters(): Promise<PoolCounters>;
  close(): Promise<void>;
}

export type DriverErrorCode = "unreachable" | "refused" | "stale-plan" | "no-slot" | "closed";

export class DriverError extends Error {
  readonly code: DriverErrorCode;
  constructor(code: DriverErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "DriverError";
    this.code = code;
  }
}
