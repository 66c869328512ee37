/**
 * The two ends of a mirror, as the replicator drives them. A primary end captures its state folder and feeds any number
 * of shadow ends over mTLS; a shadow end journals, verifies and applies, and shows its readers one version or the next.
 */

import type { SecureContextOptions } from "node:tls";
import type { Clock } from "@understudy/model/clock";
import type { Consistency, HoldSpec } from "@understudy/model/policy";
import type { Epoch, Position, Version } from "@understudy/model/position";
import type { BundleSource } from "./bundle.ts";
import type { SeedOver } from "./datagram/choice.ts";
import type { ChangeMap } from "./image.ts";
import type { LinkOf } from "./limited-transport.ts";
import type { Pauses, Writer } from "./still.ts";

export type MirroredState = {
  readonly resource: string;
  readonly dir: string;
  /** SQLite files ("sqlite") or files and folders (the others), relative to dir. */
  readonly paths: readonly string[];
  readonly consistency: Consistency;
  /**
   * What a reader of files and folders sees whole: "versions" (the default) is all of them together, behind links beside the
   * state; "files" is each by itself, in the state's own folder, for readers that see no more than that folder.
   */
  readonly view?: "versions" | "files";
  /** Globs of files whose changes are sealed at once instead of at the next tick. */
  readonly criticalPaths?: readonly string[];
  /** Globs of files and folders that are left out (exclude.ts); a shadow that has some of them loses them. */
  readonly exclude?: readonly string[];
  /** With "hook" and "freeze": how the writer is made to stand still. */
  readonly hold?: HoldSpec;
};

/**
 * What knows better than the state's folder what has changed: of a block image (the one path of its state) a change map, of a
 * bundle its contents by their hashes. A shadow of either holds files like any other.
 */
export type StateSource =
  | { readonly kind: "image"; readonly changes: ChangeMap }
  | { readonly kind: "bundle"; readonly bundle: BundleSource };

export type ShadowProgress = {
  readonly instance: string;
  readonly incarnation: string;
  readonly phase: "connecting" | "seeding" | "live" | "disconnected";
  readonly durable: Position;
  readonly visible: Position;
  /** Age of the oldest version not yet visible there, on this clock; grows while disconnected. */
  readonly lagMs: number;
  readonly lagVersions: number;
  readonly lagBytes: number;
  readonly seedBytes: number;
  readonly deltaBytes: number;
  readonly seedDoneBytes: number;
  readonly seedTotalBytes: number;
  /** How its seed goes or went; deltas always go over TLS. */
  readonly transport: "tls" | "udp";
};

export interface MirrorPrimary {
  /** The newest sealed position. */
  position(): Position;
  stateBytes(): number;
  /** How long the writer has stood still so far; undefined where it never has to. */
  pauses(): Pauses | undefined;
  /** Captures now and seals; the returned position includes everything committed before the call. */
  seal(): Promise<Position>;
  /** Starts feeding a shadow end; retries by itself until detached. */
  attach(shadow: { instance: string; incarnation: string; address: string }): void;
  detach(instance: string): void;
  shadows(): readonly ShadowProgress[];
  /** Called after each change of a shadow's progress or of the sealed position, and at least every second. */
  onProgress(listener: () => void): void;
  /** Resolves true when every instance named has `version` on disk, false when the signal aborts first. */
  waitDurable(version: Version, instances: readonly string[], signal: AbortSignal): Promise<boolean>;
  close(): Promise<void>;
}

export type OpenPrimary = (options: {
  readonly state: MirroredState;
  readonly epoch: Epoch;
  /** Where the history goes on: the position the promoted shadow had, or POSITION_ZERO. */
  readonly from: Position;
  readonly tickMs: number;
  readonly tls: SecureContextOptions;
  readonly clock: Clock;
  /** Folder for the mirror's own files (manifest, highest epoch seen); never inside the state folder. */
  readonly workDir: string;
  /** Left out, the state's folder says what has changed. */
  readonly source?: StateSource;
  /** Who writes to the state, with "hook" and "freeze"; left out, nobody does. */
  readonly writer?: Writer;
  readonly onError: (error: Error) => void;
  /** Which common names may be at the other end; by default replicators only. */
  readonly allows?: (name: string) => boolean;
  /** How to use the link to an address: rate limit and services code point. */
  readonly linkOf?: LinkOf;
  /** "auto" by default: a probe before each seed decides. */
  readonly seedOver?: SeedOver;
  /** What a seed over UDP may take of the link. */
  readonly limitMbps?: number;
}) => Promise<MirrorPrimary>;

export interface MirrorShadow {
  durable(): Position;
  visible(): Position;
  /** True once the first full copy is complete. */
  seeded(): boolean;
  onProgress(listener: () => void): void;
  /** Refuses anything of an epoch lower than this from now on, remembered on disk. */
  raiseEpoch(epoch: Epoch): Promise<void>;
  /** Finishes or discards what is journalled, lets go of the state and returns where it stands. The end is closed then. */
  release(): Promise<Position>;
  close(): Promise<void>;
}

export interface MirrorListener {
  readonly port: number;
  /** Makes this shadow end reachable for its primary. */
  openShadow(options: {
    readonly state: MirroredState;
    readonly instance: string;
    readonly incarnation: string;
    readonly workDir: string;
    /** Brings the application to the version that has just been applied; resolves once its readers see it. */
    readonly show?: (position: Position) => Promise<void>;
  }): Promise<MirrorShadow>;
  close(): Promise<void>;
}

export type ListenMirror = (options: {
  readonly host: string;
  readonly port: number;
  readonly tls: SecureContextOptions;
  readonly clock: Clock;
  readonly onError: (error: Error) => void;
  /** Which common names may be at the other end; by default replicators only. */
  readonly allows?: (name: string) => boolean;
}) => Promise<MirrorListener>;
