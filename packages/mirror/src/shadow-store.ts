/**
 * The disk side of a shadow end: takes checked deltas in, makes them durable in groups, then visible in order. Two lines
 * run side by side: while one group is being applied the next is being written, and several deltas that wait become one
 * step. What could not be made durable is undone, as if it had never come.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { POSITION_ZERO, type Position } from "@understudy/model/position";
import type { Change } from "./change.ts";
import { diskError, MirrorError } from "./error.ts";
import { FRAME_BYTES_AIM, type Frame } from "./frames.ts";
import { abandonIntake, beginIntake, type Intake, type IntakeRules } from "./intake.ts";
import type { Slot } from "./journal.ts";
import { type Manifest, rollBack, rootOf, type UndoLog } from "./manifest.ts";
import { foldChanges, type Staged } from "./plan.ts";
import { type Recovered, readBlocksAt, stagedOf } from "./recover.ts";
import type { Target } from "./target.ts";

/** A journal longer than this starts again before the next delta. */
const JOURNAL_BYTES_MAX = 64 * 1024 * 1024;
const APPLY_RETRY_MS = 500;

type Incoming = {
  readonly intake: Intake;
  readonly undo: UndoLog;
  /** Changes of which the journal has not been told. */
  waiting: { readonly payload: Uint8Array; readonly change: Change | undefined }[];
  waitingBytes: number;
  /** Resolves when everything handed to the journal is written. */
  written: Promise<void>;
  readonly staged: Staged[];
};

type Accepted = Incoming & { readonly position: Position };

export interface ShadowStore {
  durable(): Position;
  visible(): Position;
  begin(frame: Extract<Frame, { type: "begin" }>, payload: Uint8Array): Promise<void>;
  change(frame: Extract<Frame, { type: "change" }>, payload: Uint8Array): Promise<void>;
  end(frame: Extract<Frame, { type: "end" }>, payload: Uint8Array): void;
  /** Forgets a delta that has not ended. */
  abandon(): void;
  /** The last accepted delta, durable or on its way. */
  tail(): Position;
  /** Resolves when all that was accepted is durable and visible, or has failed. */
  idle(): Promise<void>;
  /** Resolves when all that was accepted is durable, or undone. */
  idleCommit(): Promise<void>;
  /** Also empties the journal: everything is in the state and on disk. */
  settle(): Promise<void>;
  /** What the accepted deltas add up to. */
  manifest(): Manifest;
  /** After a delta that did not add up: stands at no version any more, with a manifest of what is really there. */
  disown(): Promise<void>;
  close(): Promise<void>;
}

export type StoreOptions = {
  readonly recovered: Recovered;
  readonly target: Target;
  readonly rules: IntakeRules;
  readonly nowMs: () => number;
  readonly what: string;
  readonly onProgress: () => void;
  /** The journal cannot be written: what came is undone and the session must begin again. */
  readonly onLost: (error: Error) => void;
  readonly onError: (error: Error) => void;
};

export function openShadowStore(options: StoreOptions): ShadowStore {
  const { recovered, target, rules, nowMs, what, onProgress, onLost, onError } = options;
  const { journal, bookmark } = recovered;
  let manifest = recovered.manifest;
  const stop = new AbortController();
  let tail = recovered.position;
  let durable = recovered.position;
  let visible = recovered.position;
  let incoming: Incoming | undefined;
  let accepted: Accepted[] = [];
  let unapplied: Accepted[] = [];
  let committing: Promise<void> | undefined;
  let applying: Promise<void> | undefined;

  function write(delta: Incoming): void {
    const batch = delta.waiting;
    [delta.waiting, delta.waitingBytes] = [[], 0];
    const appended = journal.append(batch.map((each) => each.payload)).then((slots: Slot[]) => {
      batch.forEach(({ change }, at) => {
        if (change) delta.staged.push(stagedOf(change, slots[at]!));
      });
    });
    delta.written = Promise.all([delta.written, appended]).then(() => undefined);
    // Whoever waits for `written` gets the failure; until then nobody may be waiting.
    delta.written.catch(() => undefined);
  }

  function undoAll(): void {
    if (incoming) abandonIntake(incoming.intake);
    for (const delta of accepted.reverse()) rollBack(delta.undo);
    [incoming, accepted, tail] = [undefined, [], durable];
  }

  async function commit(): Promise<void> {
    while (accepted.length > 0) {
      const batch = accepted.slice();
      try {
        await Promise.all(batch.map((delta) => delta.written));
        await journal.sync();
      } catch (error) {
        undoAll();
        committing = undefined;
        onLost(diskError(`journal of ${what}`, error));
        return;
      }
      accepted = accepted.slice(batch.length);
      durable = batch.at(-1)!.position;
      unapplied.push(...batch);
      onProgress();
      if (!stop.signal.aborted) applying ??= apply();
    }
    // Here, and not when the promise settles: whatever is accepted from now on must start a new line.
    committing = undefined;
  }

  async function apply(): Promise<void> {
    let reported = false;
    while (unapplied.length > 0 && !stop.signal.aborted) {
      const batch = unapplied;
      try {
        const plan = foldChanges(batch.flatMap((delta) => delta.staged));
        await target.apply(plan, (slot) => readBlocksAt(journal, slot));
      } catch (error) {
        if (!reported) onError(diskError(`applying to ${what}`, error));
        reported = true;
        await sleep(APPLY_RETRY_MS, undefined, { signal: stop.signal }).catch(() => undefined);
        continue;
      }
      unapplied = unapplied.slice(batch.length);
      visible = batch.at(-1)!.position;
      onProgress();
    }
    applying = undefined;
  }

  async function idle(): Promise<void> {
    while (committing || applying) await Promise.all([committing, applying]);
  }

  /** Puts everything where it belongs, so that the journal is not needed any more. */
  async function settle(): Promise<void> {
    await idle();
    await target.flush();
    bookmark.write({ ...bookmark.current, position: visible });
    await bookmark.sync();
    await journal.rewind();
  }

  function current(): Incoming {
    if (!incoming) throw new MirrorError("garbage", "a change outside a delta");
    return incoming;
  }

  return {
    durable: () => durable,
    visible: () => visible,
    tail: () => tail,
    idle,
    async idleCommit() {
      while (committing !== undefined) await committing;
    },
    async begin(frame, payload) {
      if (journal.bytes > JOURNAL_BYTES_MAX) await settle();
      const intake = beginIntake(manifest, { begin: frame, rules });
      const waiting = [{ payload, change: undefined }];
      incoming = {
        intake,
        undo: intake.undo,
        waiting,
        waitingBytes: payload.length,
        written: Promise.resolve(),
        staged: [],
      };
    },
    async change(frame, payload) {
      const delta = current();
      delta.intake.add(frame.change);
      delta.waiting.push({ payload, change: frame.change });
      delta.waitingBytes += payload.length;
      if (delta.waitingBytes < FRAME_BYTES_AIM) return;
      write(delta);
      // A long delta does not pile up in memory: the sender waits for our disk.
      await delta.written;
    },
    end(frame, payload) {
      const delta = current();
      const position = delta.intake.end(frame, nowMs());
      delta.waiting.push({ payload, change: undefined });
      write(delta);
      incoming = undefined;
      tail = position;
      accepted.push(Object.assign(delta, { position }));
      committing ??= commit();
    },
    abandon() {
      if (incoming) abandonIntake(incoming.intake);
      incoming = undefined;
    },
    settle,
    manifest: () => manifest,
    async disown() {
      await settle();
      manifest = await target.scan();
      const position = { ...POSITION_ZERO, root: rootOf(manifest) };
      [tail, durable, visible] = [position, position, position];
      bookmark.write({ ...bookmark.current, position });
    },
    async close() {
      stop.abort();
      await idle();
      await journal.close();
    },
  };
}
