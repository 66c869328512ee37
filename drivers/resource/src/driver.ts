/**
 * The boundary to one kind of resource: start, stop and fence its instances, tell them their role. A driver moves no
 * state and takes no decision. One file per implementation, all held to contract.ts.
 */

import type { ReloadSignal } from "@understudy/model/policy";

export type StartRequest = {
  readonly resource: string;
  readonly instance: string;
  readonly incarnation: string;
  /** Folder of the instance's own state; exists and is filled before it starts. */
  readonly stateDir: string;
  readonly role: RoleOrder;
  /** Passed to the instance besides what the driver sets itself. */
  readonly env: Readonly<Record<string, string>>;
};

export type RunningInstance = {
  readonly resource: string;
  readonly instance: string;
  readonly incarnation: string;
  /** "127.0.0.1:40001", reachable from this host. */
  readonly address: string;
  /** On this host; 0 when it cannot be seen from here. */
  readonly pid: number;
  readonly pidStartTicks: number;
};

/**
 * What an instance is told about its role. It takes writes only as the primary and only before `untilBootMs`
 * (ms since boot); the driver makes this visible to the instance at once.
 */
export type RoleOrder = {
  readonly role: "primary" | "shadow";
  readonly epoch: number;
  readonly untilBootMs: number;
};

export type FenceResult =
  /** Nothing of the instance can run any more. */
  | { readonly confirmed: true; readonly how: string }
  /** It may still run: wait out its lease. */
  | { readonly confirmed: false; readonly why: string };

export interface ResourceDriver {
  /** Starts an instance, or returns the one that runs under this incarnation already. Returns before it is ready to serve. */
  start(request: StartRequest): Promise<RunningInstance>;
  /** Instances of ours that run now, also those started by an earlier process of ours. */
  list(): Promise<readonly RunningInstance[]>;
  /**
   * Returns the instance as it runs now where the change of its role took a restart: same incarnation, perhaps another
   * process and address. Its end in between is no end that `onExit` tells of.
   */
  setRole(running: RunningInstance, order: RoleOrder): Promise<RunningInstance | undefined>;
  /** Sends its main process a signal that it handles, say to read its files again. Does nothing when it has ended. */
  signal(running: RunningInstance, name: ReloadSignal): Promise<void>;
  /**
   * Ends it in an orderly way and starts it again under the same incarnation, at the same address where it can (what is
   * returned says where); nobody is told of that end.
   * `request` is what it was started with. Throws when it does not run: what ended by itself is not brought back here.
   */
  restart(running: RunningInstance, request: StartRequest, graceMs: number): Promise<RunningInstance>;
  /** Makes sure it can never write again, as fast as possible (SIGKILL to the whole process group). Idempotent. */
  fence(running: RunningInstance): Promise<FenceResult>;
  /** Ends it in an orderly way within `graceMs`, then by force. Idempotent. */
  stop(running: RunningInstance, graceMs: number): Promise<void>;
  /** Calls back once when the instance ends, where the driver can know it at once (a child of ours). */
  onExit(running: RunningInstance, ended: (detail: string) => void): void;
  /**
   * Called before an instance is started as primary for the first time, while its folder is empty: a resource that runs
   * already has its state elsewhere, and the folder is made to lead there. Drivers that only start what they own have none.
   */
  place?(request: Pick<StartRequest, "resource" | "instance" | "stateDir">): Promise<void>;
  close(): Promise<void>;
}

export type ResourceErrorCode =
  | "not-found"
  | "refused"
  | "unreachable"
  | "start-failed"
  | "disk-full"
  | "closed";

export class ResourceError extends Error {
  readonly code: ResourceErrorCode;
  constructor(code: ResourceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ResourceError";
    this.code = code;
  }
}
