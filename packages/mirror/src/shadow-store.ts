/**
 * The disk side of a shadow end: takes checked deltas in, makes them durable in groups, then visible in order. Two lines
 * run side by side: while one group is being applied the next is being written, and several deltas that wait become one
 * step. What could not be made durable is undone, as if it had never come. Long new files do not pass through the journal
 * (landing.ts).
 */

import { POSITION_ZERO, type Position } from "@understudy/model/position";
import { openApplier } from "./applier.ts";
import type { Change } from "./change.ts";
import { copiedHashes } from "./copies.ts";
import { baseOf, sameBase } from "./delta.ts";
import { diskError, MirrorError } from "./error.ts";
import { encodeFrame, FRAME_BYTES_AIM, type Frame, LENGTH_BYTES } from "./frames.ts";
import { abandonIntake, beginIntake, type Intake, type IntakeRules } from "./intake.ts";
import { PREPARED_BYTES } from "./journal.ts";
import { LANDING_BYTES_MIN, type Landing, type Landings, openLandings } from "./landing.ts";
import { type Manifest, rootOf } from "./manifest.ts";
import type { Staged } from "./plan.ts";
import { type Recovered, readContentsAt, stagedOf } from "./recover.ts";
import type { CopyChange, Target } from "./target.ts";

type Incoming = {
  readonly intake: Intake;
  /** Frames that the journal has not been told of. */
  waiting: { readonly payload: Uint8Array; readonly change: Change | undefined }[];
  waitingBytes: number;
  /** Resolves when everything handed to the journal is written. */
  written: Promise<void>;
  readonly staged: Staged[];
  /** Names of what its copies refer to, by path. */
  readonly pins: Map<string, string>;
  /** Paths the base does not have, of which no contents have been journalled. */
  readonly untouched: Set<string>;
  readonly landings: Landings | undefined;
  /** The one that the last contents went to. */
  landing: Landing | undefined;
};

type Pinned = { readonly change: CopyChange; readonly hashes: Uint8Array };
type Accepted = Incoming & { readonly position: Position };

export interface ShadowStore {
  durable(): Position;
  /** In the state, whether the application has been brought to it or not. */
  applied(): Position;
  visible(): Position;
  /** The last accepted delta, durable or on its way. */
  tail(): Position;
  /** What the accepted deltas add up to. */
  manifest(): Manifest;
  begin(frame: Extract<Frame, { type: "begin" }>, payload: Uint8Array): Promise<void>;
  change(frame: Extract<Frame, { type: "change" }>, payload: Uint8Array): Promise<void>;
  end(frame: Extract<Frame, { type: "end" }>, payload: Uint8Array): void;
  /** Forgets a delta that has not ended. */
  abandon(): void;
  /** Resolves when all that was accepted is durable or undone, and a state that had to be looked at anew has been. */
  ready(): Promise<void>;
  /** Resolves when all that was accepted is in the state and on disk, and the journal is empty. */
  settle(): Promise<void>;
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
  /** Called after a step was applied; until it resolves nobody sees it. */
  readonly show?: ((position: Position) => Promise<void>) | undefined;
  readonly onProgress: () => void;
  /** The journal cannot be written: what came is undone and the session must begin again. */
  readonly onLost: (error: Error) => void;
  readonly onError: (error: Error) => void;
};

export function openShadowStore(options: StoreOptions): ShadowStore {
  const { recovered, target, rules, nowMs, what, onProgress, onLost, onError } = options;
  const { journal, bookmark } = recovered;
  let manifest = recovered.manifest;
  let tail = recovered.position;
  let durable = recovered.position;
  let applied = recovered.position;
  let visible = recovered.position;
  let incoming: Incoming | undefined;
  let accepted: Accepted[] = [];
  let committing: Promise<void> | undefined;
  let disowning: Promise<void> | undefined;
  /** Until the end of the last delta is in the journal or never will be. */
  let ending: Promise<void> | undefined;

  const applier = openApplier({
    apply: (plan, position) => target.apply(plan, (slot) => readContentsAt(journal, slot), position),
    show: options.show,
    onApplied(position) {
      applied = position;
    },
    what,
    onVisible(position) {
      visible = position;
      onProgress();
    },
    onBroken(error) {
      onLost(error);
      disowning ??= disown().catch(onError);
    },
    onError,
  });

  async function append(delta: Incoming): Promise<void> {
    const batch = delta.waiting;
    [delta.waiting, delta.waitingBytes] = [[], 0];
    const slots = await journal.append(batch.map((each) => each.payload));
    batch.forEach(({ change }, at) => {
      if (change) delta.staged.push(stagedOf(change, slots[at]!));
    });
  }

  function write(delta: Incoming): void {
    delta.written = Promise.all([delta.written, append(delta)]).then(() => undefined);
    // Whoever waits for `written` gets the failure; until then nobody may be waiting.
    delta.written.catch(() => undefined);
  }

  /** Its end goes to the journal once all that it refers to is on disk; the next delta waits for that, the session does not. */
  function conclude(delta: Incoming): void {
    const { landings, written } = delta;
    if (!landings?.used) {
      write(delta);
      return;
    }
    const settled = ownError(landings.settle()).catch(async (error) => {
      await landings.discard();
      throw error;
    });
    delta.written = Promise.all([written, settled]).then(() => append(delta));
    ending = delta.written.catch(() => undefined);
  }

  function abandon(): void {
    if (incoming) {
      abandonIntake(incoming.intake);
      // Its end is not in the journal: nothing refers to them.
      incoming.landings?.discard().catch(onError);
    }
    incoming = undefined;
  }

  function undoAccepted(): void {
    abandon();
    for (const { intake } of accepted.reverse()) abandonIntake(intake);
    [accepted, tail] = [[], durable];
  }

  async function commit(): Promise<void> {
    while (accepted.length > 0) {
      const batch = accepted.slice();
      try {
        await Promise.all(batch.map((delta) => delta.written));
        await target.pins?.sync();
        await journal.sync();
      } catch (error) {
        undoAccepted();
        onLost(diskError(`journal of ${what}`, error));
        break;
      }
      accepted = accepted.slice(batch.length);
      durable = batch.at(-1)!.position;
      onProgress();
      applier.add(batch.map(({ position, staged }) => ({ position, staged })));
    }
    // Here, and not when the promise settles: whatever is accepted from now on must start a new line.
    committing = undefined;
  }

  async function committed(): Promise<void> {
    while (committing !== undefined) await committing;
  }

  async function settle(): Promise<void> {
    await committed();
    await applier.idle();
    if (applier.waiting > 0) throw new MirrorError("io", `${what} could not apply what it has journalled`);
    await mark(applied);
  }

  /** Only when the journal is not needed any more. */
  async function mark(position: Position): Promise<void> {
    await target.flush();
    bookmark.write({ ...bookmark.current, position });
    await bookmark.sync();
    await journal.rewind();
    await target.pins?.clear();
  }

  /** The journal's word for a copy: it names a pin of what its source is in the base, where nothing waits any more. */
  async function pinned(delta: Incoming, change: CopyChange): Promise<Pinned> {
    delta.intake.add(change);
    const { entry } = manifest.entries.get(change.path)!;
    if (change.from === "") {
      return { change, hashes: await copiedHashes(change, { source: undefined, size: entry.size }) };
    }
    if (!target.pins || !target.pin) throw new MirrorError("garbage", "a copy in a state without files");
    await committed();
    await applier.idle();
    if (applier.waiting > 0) throw new MirrorError("io", `${what} could not apply what it has journalled`);
    const name = delta.pins.get(change.from) ?? (await target.pin(change.from));
    delta.pins.set(change.from, name);
    const source = await target.pins.open(name);
    try {
      const hashes = await copiedHashes(change, { source, size: entry.size });
      return { change: { ...change, from: name }, hashes };
    } finally {
      await source.close();
    }
  }

  /** What the journal is told in the place of what came. */
  function rewrite(delta: Incoming, change: CopyChange): void {
    const payload = encodeFrame({ type: "change", change }).subarray(LENGTH_BYTES);
    delta.waiting.push({ payload, change });
    delta.waitingBytes += payload.length;
  }

  function finishLanding(delta: Incoming): void {
    for (const copy of delta.landing?.finish() ?? []) rewrite(delta, copy);
    delta.landing = undefined;
  }

  /** True when the contents of the change go past the journal. What does not follows those of before in the journal too. */
  async function lands(delta: Incoming, change: Change): Promise<boolean> {
    const isNew = change.op === "entry" && !manifest.entries.has(change.path);
    if (delta.landing && (change.op !== "blocks" || delta.landing.path !== change.path)) finishLanding(delta);
    if (change.op === "blocks" && (delta.landing || delta.untouched.delete(change.path))) {
      const { size } = manifest.entries.get(change.path)?.entry ?? { size: 0 };
      if (delta.landings && size >= LANDING_BYTES_MIN) {
        delta.intake.add(change);
        delta.landing ??= await ownError(delta.landings.open({ path: change.path, size }));
        await ownError(delta.landing.add(change));
        return true;
      }
    }
    if (isNew) delta.untouched.add(change.path);
    else delta.untouched.delete(change.path);
    return false;
  }

  async function ownError<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw diskError(`files that come to ${what}`, error);
    }
  }

  async function take(delta: Incoming, change: Change, payload: Uint8Array): Promise<void> {
    if (await lands(delta, change)) return;
    if (change.op !== "copy") {
      delta.intake.add(change);
      delta.waiting.push({ payload, change });
      delta.waitingBytes += payload.length;
      return;
    }
    const journalled = await pinned(delta, change);
    // Meanwhile the journal may have failed, and the delta with it.
    if (incoming !== delta) throw new MirrorError("closed", "the delta was given up");
    delta.intake.copied(change, journalled.hashes);
    rewrite(delta, journalled.change);
  }

  async function disown(): Promise<void> {
    await committed();
    await applier.idle();
    applier.forget();
    manifest = await target.scan();
    const position = { ...POSITION_ZERO, root: rootOf(manifest) };
    [tail, durable, applied, visible] = [position, position, position, position];
    await mark(position);
    disowning = undefined;
    onProgress();
  }

  function current(): Incoming {
    if (!incoming) throw new MirrorError("garbage", "a change outside a delta");
    return incoming;
  }

  return {
    durable: () => durable,
    applied: () => applied,
    visible: () => visible,
    tail: () => tail,
    manifest: () => manifest,
    async begin(frame, payload) {
      await ending;
      if (incoming) throw new MirrorError("garbage", "a delta within a delta");
      if (!sameBase(frame.base, baseOf(tail))) {
        throw new MirrorError(
          "garbage",
          `delta on version ${frame.base.version}, we stand at ${tail.version}`,
        );
      }
      // Within what is laid out in advance, syncing is fast.
      if (journal.bytes > PREPARED_BYTES) await settle();
      incoming = {
        intake: beginIntake(manifest, { begin: frame, rules }),
        waiting: [{ payload, change: undefined }],
        waitingBytes: payload.length,
        written: Promise.resolve(),
        staged: [],
        pins: new Map(),
        untouched: new Set(),
        landings: target.pins && openLandings(target.pins),
        landing: undefined,
      };
    },
    async change(frame, payload) {
      const delta = current();
      await take(delta, frame.change, payload);
      if (delta.waitingBytes < FRAME_BYTES_AIM) return;
      write(delta);
      // A long delta does not pile up in memory: the sender waits for our disk.
      await delta.written;
    },
    end(frame, payload) {
      const delta = current();
      const position = delta.intake.end(frame, nowMs());
      finishLanding(delta);
      delta.waiting.push({ payload, change: undefined });
      conclude(delta);
      incoming = undefined;
      tail = position;
      accepted.push(Object.assign(delta, { position }));
      committing ??= commit();
    },
    abandon,
    async ready() {
      await committed();
      await disowning;
    },
    settle,
    disown,
    async close() {
      await committed();
      await applier.close();
      await disowning;
      await journal.close();
    },
  };
}
