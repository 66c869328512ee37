/**
 * Decides whether a log can be read on from where we stand, or whether commits may have passed unread.
 *
 * A writer begins its log anew (other salt, from frame 1) once all of it is copied into the database. What it had
 * committed after our position is then gone from the log, and nothing says so outright. That nothing was lost counts
 * as proven only when all of this holds:
 * - the salt's first word rose by exactly one, as it does when one generation follows another;
 * - our last frame is still in place further back in the file, with its old salt and checksum, and what follows it
 *   does not continue its chain: the old generation ended where we stand;
 * - the index's counter of commits rose by exactly the number of commits in the new generation.
 * Either of the last two alone has a corner: a log cut off right behind our frame by a size limit; an index rebuilt,
 * with its counter, after exactly as many commits as we had seen. Both at once need a restart and a coincidence of bytes.
 * Everything else is "unknown", and the caller compares the whole database by its hashes.
 */

import {
  type ChainStart,
  frameBytes,
  parseFrames,
  peekFrame,
  type Salt,
  sameChecksum,
  sameSalt,
} from "./wal.ts";
import type { IndexHeader } from "./walindex.ts";

const SALT_ZERO: Salt = { first: 0, second: 0 };

export type LogStep = "unchanged" | "grown" | "renewed" | "unknown";

/** From the two headers alone; "renewed" still has to be proven by `endedAt` and `commitsAddUp`. */
export function compareHeaders(position: IndexHeader, now: IndexHeader): LogStep {
  if (!sameSalt(position.salt, now.salt)) {
    const next = (position.salt.first + 1) >>> 0;
    return position.lastFrame > 0 && now.salt.first === next && now.lastFrame < position.lastFrame
      ? "renewed"
      : "unknown";
  }
  if (now.lastFrame === position.lastFrame) {
    return sameChecksum(now.chain, position.chain) ? "unchanged" : "unknown";
  }
  // Every index that SQLite builds over an empty log has a salt of zeros: there it says nothing.
  const named = position.lastFrame > 0 || !sameSalt(position.salt, SALT_ZERO);
  return named && now.lastFrame > position.lastFrame ? "grown" : "unknown";
}

/**
 * Whether the old generation ended with the position's last frame. `tail` holds the bytes of the log from that frame
 * on: the frame and the one after it, or less where the file ends.
 */
export function endedAt(tail: Uint8Array, position: ChainStart): boolean {
  const size = frameBytes(position.pageSize);
  const last = peekFrame(tail);
  if (last === undefined || tail.length < size) return false;
  if (!sameSalt(last.salt, position.salt) || !sameChecksum(last.chain, position.chain)) return false;
  const after = tail.subarray(size);
  if (after.length > 0 && after.length < size) return false;
  return parseFrames(after, position).frames.length === 0;
}

export function commitsAddUp(position: IndexHeader, now: IndexHeader, commitsRead: number): boolean {
  return (now.change - position.change) >>> 0 === commitsRead;
}
