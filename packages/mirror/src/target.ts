/** Where a shadow puts what it received: target-tree.ts for files and folders, target-databases.ts for SQLite. */

import type { Position } from "@understudy/model/position";
import type { Change } from "./change.ts";
import type { Slot } from "./journal.ts";
import type { EntryKind, Manifest } from "./manifest.ts";
import type { Plan } from "./plan.ts";

export type BlocksChange = Extract<Change, { op: "blocks" }>;

export interface Target {
  /** What this state may consist of. */
  accepts(kind: EntryKind): boolean;
  /** What is there, by reading all of it. */
  scan(): Promise<Manifest>;
  /** Makes the newest version visible. Applying the same again is harmless. */
  apply(plan: Plan, read: (slot: Slot) => Promise<BlocksChange>, position?: Position): Promise<void>;
  /** When it resolves, all that was applied survives a power loss. */
  flush(): Promise<void>;
  /** What was applied is synced by somebody else. */
  forget(): void;
  /** The state becomes one that a primary writes to, in the place where it is expected. Nothing is applied after that. */
  handOver(): Promise<void>;
  close(): void;
}
