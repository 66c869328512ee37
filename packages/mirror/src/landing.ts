/**
 * Where the contents of a long new file go while a delta comes in: straight into a pin (pins.ts), so that a first copy is written once and
 * not first to the journal and then to the state. The journal gets a copy from the pin in their place, which applies by one
 * more link. All of a landing is on disk before the end of its delta is journalled: a journal never names what may be missing.
 */

import { type FileHandle, open, rm } from "node:fs/promises";
import { BLOCK_BYTES, type Run, runsOf } from "./blocks.ts";
import { COPY_RUNS_MAX, type CopyRun } from "./change.ts";
import type { Pins } from "./pins.ts";
import type { BlocksChange, CopyChange } from "./target.ts";
import { writeWhole } from "./whole-io.ts";

/** A shorter file takes longer to be made and synced than to be journalled. */
export const LANDING_BYTES_MIN = 1024 * 1024;
/** Written and not yet on disk; beyond it whoever sends waits. */
const WRITING_BYTES_MAX = 8 * 1024 * 1024;
/** The disk is given work while the rest is still coming. */
const SYNC_BYTES = 16 * 1024 * 1024;
const SYNCING_MAX = 8;

export interface Landing {
  readonly path: string;
  /** Resolves when more may come. */
  add(change: BlocksChange): Promise<void>;
  /** Nothing more comes: what stands for all of it in the journal. */
  finish(): CopyChange[];
}

/** Those of one delta. */
export interface Landings {
  readonly used: boolean;
  open(file: { path: string; size: number }): Promise<Landing>;
  /** Resolves when all contents are on disk; throws what has gone wrong with any. */
  settle(): Promise<void>;
  /** Removes them all. Only as long as the journal does not hold the end of their delta. */
  discard(): Promise<void>;
}

export function openLandings(pins: Pins): Landings {
  const names: string[] = [];
  const unfinished = new Set<Landing>();
  /** Of files that are all there, until they are on disk and closed. */
  const syncing = new Set<Promise<void>>();
  let failure: unknown;

  function watch(closing: Promise<void>): void {
    const watched = closing
      .catch((error) => {
        failure ??= error;
      })
      .finally(() => syncing.delete(watched));
    syncing.add(watched);
  }

  function check(): void {
    if (failure !== undefined) throw failure;
  }

  return {
    get used() {
      return names.length > 0;
    },
    async open({ path, size }) {
      while (syncing.size >= SYNCING_MAX) await Promise.race(syncing);
      check();
      const name = pins.reserve();
      names.push(name);
      const file = await open(pins.at(name), "wx", 0o600);
      const landing = openLanding({
        path,
        name,
        file,
        size,
        check,
        onFinish(closing) {
          unfinished.delete(landing);
          watch(closing);
        },
      });
      unfinished.add(landing);
      return landing;
    },
    async settle() {
      while (syncing.size > 0) await Promise.all(syncing);
      check();
    },
    async discard() {
      for (const landing of [...unfinished]) landing.finish();
      while (syncing.size > 0) await Promise.all(syncing);
      for (const name of names) await rm(pins.at(name), { force: true });
    },
  };
}

function openLanding({
  path,
  name,
  file,
  size,
  check,
  onFinish,
}: {
  path: string;
  name: string;
  file: FileHandle;
  size: number;
  check: () => void;
  onFinish: (closing: Promise<void>) => void;
}): Landing {
  const runs: CopyRun[] = [];
  let order: Promise<void> = file.truncate(size);
  let [writing, unsynced] = [0, 0];
  let failure: unknown;

  /** One after the other: what comes next is hashed meanwhile, and a disk does not write faster in two places. */
  function then(work: () => Promise<void>): void {
    order = order.then(work).catch((error) => {
      failure ??= error;
    });
  }

  async function write({ indexes, data }: BlocksChange): Promise<void> {
    let from = 0;
    for (const { first, count } of runsOf(indexes)) {
      const piece = data.subarray(from, from + count * BLOCK_BYTES);
      await writeWhole(file, piece, first * BLOCK_BYTES);
      from += piece.length;
    }
    writing -= data.length;
    unsynced += data.length;
    if (unsynced < SYNC_BYTES) return;
    unsynced = 0;
    await file.datasync();
  }

  async function close(): Promise<void> {
    await order;
    try {
      if (failure !== undefined) throw failure;
      await file.sync();
    } finally {
      await file.close();
    }
  }

  return {
    path,
    async add(change) {
      for (const run of runsOf(change.indexes)) extend(runs, run);
      writing += change.data.length;
      then(() => write(change));
      if (writing > WRITING_BYTES_MAX) await order;
      if (failure !== undefined) throw failure;
      check();
    },
    finish() {
      onFinish(close());
      const copies: CopyChange[] = [];
      for (let at = 0; at < runs.length; at += COPY_RUNS_MAX)
        copies.push({ op: "copy", path, from: name, runs: runs.slice(at, at + COPY_RUNS_MAX) });
      return copies;
    },
  };
}

/** A landing has everything where the file has it. */
function extend(runs: CopyRun[], { first, count }: Run): void {
  const last = runs.at(-1);
  if (last && last.first + last.count === first)
    runs[runs.length - 1] = { ...last, count: last.count + count };
  else runs.push({ first, count, offset: first * BLOCK_BYTES });
}
