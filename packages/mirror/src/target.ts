/** Where a shadow puts what it received: target-tree.ts for files and folders, target-databases.ts for SQLite. */

import type { Position } from "@understudy/model/position";
import type { Contents } from "./change.ts";
import type { Slot } from "./journal.ts";
import type { EntryKind, Manifest } from "./manifest.ts";
import type { Pins } from "./pins.ts";
import type { Plan } from "./plan.ts";

export type BlocksChange = Extract<Contents, { op: "blocks" }>;
export type CopyChange = Extract<Contents, { op: "copy" }>;
/** Contents as they lie in the journal. */
export type ReadContents = (slot: Slot) => Promise<Contents>;

export interface Target {
  /** What this state may consist of. */
  accepts(kind: EntryKind): boolean;
  /** What is there, by reading all of it. */
  scan(): Promise<Manifest>;
  /** Makes the newest version visible. Applying the same again is harmless. */
  apply(plan: Plan, read: ReadContents, position?: Position): Promise<void>;
  /** When it resolves, all that was applied survives a power loss. */
  flush(): Promise<void>;
  /** What copies in the journal refer to; none where there are no copies. */
  readonly pins?: Pins;
  /** Pins a file of the state as it is now, or throws when the path does not lead to one. */
  pin?(path: string, options?: { isSynced?: boolean }): Promise<string>;
  /** The state becomes one that a primary writes to, in the place where it is expected. Nothing is applied after that. */
  handOver(): Promise<void>;
  close(): void;
}
