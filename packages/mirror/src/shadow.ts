/**
 * One shadow end: answers the primary that feeds it. It takes one primary at a time, never one of a lower epoch than it
 * has seen, and says after each step how far it is. Disk and order are in shadow-store.ts, checks in intake.ts.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "@understudy/model/clock";
import { HLC_DRIFT_MAX_MS } from "@understudy/model/hlc";
import type { Epoch, Position } from "@understudy/model/position";
import { type SeedIntake, seedIntake } from "./datagram/seed-in.ts";
import type { MirroredState, MirrorShadow } from "./engine.ts";
import { diskError, MirrorError } from "./error.ts";
import { decodeFrame, encodeFrame, type Frame, type Refusal } from "./frames.ts";
import { thawStale } from "./holder.ts";
import { manifestFrames } from "./manifest-wire.ts";
import { unpackFrame } from "./packing.ts";
import { checkedRoots } from "./paths.ts";
import { openPins } from "./pins.ts";
import { recoverShadow } from "./recover.ts";
import { openShadowStore } from "./shadow-store.ts";
import { heldRecord } from "./still.ts";
import type { Target } from "./target.ts";
import { databaseTarget } from "./target-databases.ts";
import { type TreeTargetOptions, treeTarget } from "./target-tree.ts";
import { versionedTarget } from "./target-versions.ts";
import type { Link } from "./transport.ts";

/** A primary that sent nothing for so long is gone; it would have sent a heartbeat. */
const SILENCE_MAX_MS = 5_000;
const RELEASE_MS_MAX = 10_000;

export type ShadowOptions = {
  readonly state: MirroredState;
  readonly instance: string;
  readonly incarnation: string;
  readonly workDir: string;
  readonly clock: Clock;
  /** Brings the application to the version that has just been applied. */
  readonly show?: (position: Position) => Promise<void>;
  readonly onError: (error: Error) => void;
};

export type Hello = Extract<Frame, { type: "hello" }>;

export type ShadowEnd = MirrorShadow & {
  /** Follows one primary until the link closes. */
  serve(link: Link, hello: Hello, frames: AsyncGenerator<Uint8Array>): Promise<void>;
};

export async function openShadowEnd(options: ShadowOptions): Promise<ShadowEnd> {
  const { state, instance, incarnation, workDir, clock, onError } = options;
  // A primary that was killed here may have left its writer standing.
  await thawStale(heldRecord(workDir));
  const target = await openTarget(options);
  const recovered = await recoverShadow(target, workDir).catch((error) => {
    target.close();
    throw diskError(`shadow ${instance}`, error);
  });
  const { bookmark } = recovered;
  const listeners: (() => void)[] = [];
  let session: { readonly link: Link; readonly epoch: Epoch; done: Promise<void> } | undefined;
  let closed = false;
  let gone: Promise<void> | undefined;
  let reportedLoss = "";

  const store = openShadowStore({
    recovered,
    target,
    rules: { roots: checkedRoots(state.paths), accepts: target.accepts },
    nowMs: clock.nowMs,
    what: instance,
    show: options.show,
    onError,
    onProgress() {
      reportedLoss = "";
      if (session) tellProgress(session.link);
      for (const listener of listeners) listener();
    },
    onLost(error) {
      if (error.message !== reportedLoss) onError(error);
      reportedLoss = error.message;
      session?.link.close();
    },
  });

  function tellProgress(link: Link): void {
    link.send([encodeFrame({ type: "progress", durable: store.durable(), visible: store.visible() })]);
  }

  async function endSession(): Promise<void> {
    session?.link.close();
    await session?.done;
  }

  async function seeEpoch(epoch: Epoch): Promise<void> {
    if (epoch <= bookmark.current.epochSeen) return;
    bookmark.write({ ...bookmark.current, epochSeen: epoch });
    await bookmark.sync();
  }

  async function follow(link: Link, hello: Hello, frames: AsyncGenerator<Uint8Array>): Promise<void> {
    await store.ready();
    link.send([encodeFrame({ type: "welcome", durable: store.tail(), visible: store.visible() })]);
    let heardAtMs = clock.bootMs();
    const epoch = hello.position.epoch;
    const seed = seedIntake(link, (payload) => takeSeed({ payload, epoch }));
    const watchdog = setInterval(() => {
      if (clock.bootMs() - heardAtMs > SILENCE_MAX_MS) link.close();
    }, SILENCE_MAX_MS / 5);
    try {
      for await (const payload of frames) {
        heardAtMs = clock.bootMs();
        await take(link, { payload, epoch, seed });
      }
      if (seed.failure) throw seed.failure;
    } finally {
      clearInterval(watchdog);
      await seed.close();
      store.abandon();
    }
  }

  /** What a delta consists of, whichever way it comes; false for any other frame. */
  async function takeDelta(
    frame: Frame,
    { payload, epoch }: { payload: Uint8Array; epoch: Epoch },
  ): Promise<boolean> {
    if (frame.type === "begin") {
      if (frame.epoch !== epoch)
        throw new MirrorError("garbage", `delta of epoch ${frame.epoch} from a primary of ${epoch}`);
      await store.begin(frame, payload);
    } else if (frame.type === "change") await store.change(frame, payload);
    else if (frame.type === "end") await store.end(frame, payload);
    else if (frame.type === "packed") return takePacked(frame, epoch);
    else return false;
    return true;
  }

  async function takePacked(frame: Extract<Frame, { type: "packed" }>, epoch: Epoch): Promise<boolean> {
    for (const payload of unpackFrame(frame)) {
      const inner = decodeFrame(payload);
      if (!(await takeDelta(inner, { payload, epoch })))
        throw new MirrorError("garbage", `${inner.type} frame within a packed one`);
    }
    return true;
  }

  async function takeSeed(taken: { payload: Uint8Array; epoch: Epoch }): Promise<void> {
    const frame = decodeFrame(taken.payload);
    if (!(await takeDelta(frame, taken))) throw new MirrorError("garbage", `${frame.type} frame over UDP`);
  }

  async function take(
    link: Link,
    { payload, epoch, seed }: { payload: Uint8Array; epoch: Epoch; seed: SeedIntake },
  ): Promise<void> {
    const frame = decodeFrame(payload);
    switch (frame.type) {
      case "begin":
      case "change":
      case "end":
      case "packed":
        await takeDelta(frame, { payload, epoch });
        return;
      case "seedOffer":
        return seed.offered(frame.token);
      case "seedEnd":
        return seed.ended(frame.bytes);
      case "heartbeat":
        return tellProgress(link);
      case "ask":
        for (const part of manifestFrames(store.manifest())) {
          await link.untilReady();
          link.send([part]);
        }
        return;
      case "hello":
      case "welcome":
      case "refuse":
      case "manifest":
      case "manifestEnd":
      case "progress":
      case "seedAnswer":
        throw new MirrorError("garbage", `${frame.type} frame from a primary`);
    }
  }

  /** What went wrong goes back to the primary as far as it concerns it. */
  async function explain(link: Link, error: unknown): Promise<void> {
    if (!(error instanceof MirrorError) || error.code === "unreachable") return;
    refuse(link, {
      why: error.code === "clock" || error.code === "version" ? error.code : "bad-delta",
      reason: error.message,
      epoch: bookmark.current.epochSeen,
    });
    if (error.code === "mismatch") await store.disown();
  }

  async function shut(): Promise<void> {
    closed = true;
    await endSession();
  }

  /** Once, however often it is asked: a descriptor that is closed twice may be somebody else's by then. */
  function letGo(): Promise<void> {
    gone ??= store.close().then(() => {
      target.close();
      bookmark.close();
    });
    return gone;
  }

  return {
    durable: store.durable,
    visible: store.visible,
    seeded: () => store.applied().version > 0,
    onProgress: (listener) => void listeners.push(listener),
    async serve(link, hello, frames) {
      const refusal = judgeHello(hello, {
        closed,
        incarnation,
        epochSeen: bookmark.current.epochSeen,
        nowMs: clock.nowMs(),
      });
      if (refusal) return refuse(link, { ...refusal, epoch: bookmark.current.epochSeen });
      await endSession();
      await seeEpoch(hello.position.epoch);
      const done = follow(link, hello, frames).catch(async (error) => {
        await explain(link, error);
        throw error;
      });
      const mine = { link, epoch: hello.position.epoch, done: done.catch(() => undefined) };
      session = mine;
      try {
        await done;
      } finally {
        if (session === mine) session = undefined;
      }
    },
    async raiseEpoch(epoch) {
      if (session && session.epoch < epoch) await endSession();
      await store.ready();
      await seeEpoch(epoch);
    },
    async release() {
      await shut();
      try {
        await withinRelease(store.settle(), instance);
        const position: Position = store.applied();
        await target.handOver();
        bookmark.write({ ...bookmark.current, role: "released", position });
        await bookmark.sync();
        return position;
      } finally {
        await letGo();
      }
    },
    async close() {
      await shut();
      await letGo();
    },
  };
}

/** A state that cannot be written must not hold up whoever wants to promote another shadow instead. */
async function withinRelease(settled: Promise<void>, instance: string): Promise<void> {
  const late = new AbortController();
  const deadline = sleep(RELEASE_MS_MAX, undefined, { signal: late.signal }).then(() => {
    throw new MirrorError(
      "io",
      `${instance} cannot apply what it has journalled within ${RELEASE_MS_MAX} ms`,
    );
  });
  try {
    await Promise.race([settled, deadline]);
  } finally {
    late.abort();
    deadline.catch(() => undefined);
  }
}

/** Undefined when the primary is welcome. */
export function judgeHello(
  hello: Hello,
  here: { closed: boolean; incarnation: string; epochSeen: Epoch; nowMs: number },
): { why: Refusal; reason: string } | undefined {
  const { epoch, hlc } = hello.position;
  if (here.closed) return { why: "unknown-instance", reason: `${hello.instance} is closing` };
  if (hello.incarnation !== here.incarnation) {
    return { why: "wrong-incarnation", reason: `incarnation ${here.incarnation}, not ${hello.incarnation}` };
  }
  if (epoch < here.epochSeen) return { why: "stale-epoch", reason: `epoch ${epoch}, seen ${here.epochSeen}` };
  const aheadMs = hlc.wallMs - here.nowMs;
  if (aheadMs > HLC_DRIFT_MAX_MS) return { why: "clock", reason: `clock ${aheadMs} ms ahead of ours` };
  return undefined;
}

export function refuse(link: Link, refusal: { why: Refusal; reason: string; epoch: Epoch }): void {
  link.send([encodeFrame({ type: "refuse", ...refusal })]);
}

/** Opens the state for writing what a primary sends. */
export async function openTarget({
  state,
  workDir,
  clock,
  onError,
}: Pick<ShadowOptions, "state" | "workDir" | "clock" | "onError">): Promise<Target> {
  const roots = checkedRoots(state.paths);
  mkdirSync(workDir, { recursive: true });
  switch (state.consistency) {
    case "sqlite":
      return databaseTarget(new Map(roots.map((root) => [root, join(state.dir, root)])));
    case "hook":
    case "freeze":
    case "none":
      return openFiles(
        { dir: state.dir, roots, workDir, onError },
        { view: state.view, bootMs: clock.bootMs },
      );
  }
}

async function openFiles(
  options: Omit<TreeTargetOptions, "pins">,
  { view, bootMs }: { view: MirroredState["view"]; bootMs: () => number },
): Promise<Target> {
  if (view !== "files") return versionedTarget({ ...options, bootMs });
  return treeTarget({ ...options, pins: await openPins(join(options.workDir, "pins")) });
}
