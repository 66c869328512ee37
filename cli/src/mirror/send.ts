/**
 * The sending side of `understudy mirror`: the mirror's primary end over a folder, fed to one receiver until everything is there
 * (`once`) or for as long as it is let.
 */

import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { MirrorPrimary, ShadowProgress } from "@understudy/mirror/engine";
import { type Preview, previewCopy } from "@understudy/mirror/preview";
import { openPrimary } from "@understudy/mirror/primary";
import { createRateLimit } from "@understudy/mirror/rate-limit";
import { pause } from "@understudy/model/pause";
import { POSITION_ZERO, type Position } from "@understudy/model/position";
import { systemClock } from "@understudy/service/clock";
import { EnrolmentError } from "@understudy/service/enrolment-client";
import type { TlsMaterial } from "@understudy/service/tls";
import { CliError } from "../error.ts";
import { type Seen, see } from "./progress.ts";
import {
  asCliError,
  closeRoom,
  DATA_RESOURCE,
  OPEN_EVERY_MS,
  openRoom,
  type Room,
  type Wanted,
} from "./session.ts";

const LOOK_EVERY_MS = 100;
const TICK_MS = 100;

export type SendOptions = {
  readonly source: string;
  /** host:port of the receiver's talk. */
  readonly address: string;
  readonly folder: string;
  readonly tls: TlsMaterial;
  readonly stateFolder: string;
  readonly paths: readonly string[];
  readonly consistency: "none" | "sqlite";
  readonly exclude: readonly string[];
  readonly once: boolean;
  readonly limit?: number;
  readonly dscp?: number;
  readonly signal: AbortSignal;
  readonly onSeen: (seen: Seen) => void;
  readonly onError: (error: Error) => void;
};

export type SendResult = {
  /** False when it was stopped before everything was there. */
  readonly equal: boolean;
  readonly stateBytes: number;
  readonly sentBytes: number;
  readonly elapsedMs: number;
};

/** Resolves when everything is there (`once`), or when the signal aborts. Throws CliError. */
export async function send(options: SendOptions): Promise<SendResult> {
  const { address, tls, folder, paths, consistency, signal, onError } = options;
  const source = sourceFolder(options);
  const startedMs = performance.now();
  const wanted: Wanted = { folder, paths, consistency, incarnation: randomUUID() };
  // Before anything is read: most of what can go wrong goes wrong here.
  const room = await openRoom(address, tls, wanted).catch((error) => {
    throw asCliError(error);
  });
  const primary = await openEnd(options, source).catch((error) => {
    throw new CliError("failed", `${source} cannot be read: ${(error as Error).message}`, { cause: error });
  });
  const over = new AbortController();
  const ended = AbortSignal.any([signal, over.signal]);
  try {
    attach(primary, room, wanted);
    const keeping = keepRoom({ ...options, primary, wanted, room, signal: ended });
    const watching = watch(options, primary, ended);
    const equal = await Promise.race([watching, keeping]);
    over.abort();
    const [progress] = primary.shadows();
    const sentBytes = (progress?.seedBytes ?? 0) + (progress?.deltaBytes ?? 0);
    const elapsedMs = performance.now() - startedMs;
    return { equal, stateBytes: primary.stateBytes(), sentBytes, elapsedMs };
  } finally {
    over.abort();
    await primary.close();
    await closeRoom(address, tls, wanted.incarnation).catch((error: Error) => onError(error));
  }
}

function sourceFolder({ source, paths }: SendOptions): string {
  const folder = resolve(source);
  if (!existsSync(folder)) throw new CliError("invalid", `${source} does not exist`);
  if (!statSync(folder).isDirectory())
    throw new CliError("invalid", `${source} is no folder: name its folder, and the file with --path`);
  const missing = paths.find((path) => !existsSync(join(folder, path)));
  if (missing !== undefined) throw new CliError("invalid", `${missing} does not exist in ${source}`);
  return folder;
}

/** What a run is, whether it sends or only says what it would send. */
function runOf(options: SendOptions, dir: string) {
  const { tls, paths, consistency, exclude, onError } = options;
  const name = createHash("sha256").update(`${dir}\n${options.address}\n${options.folder}`).digest("hex");
  const workDir = join(options.stateFolder, "sending", name.slice(0, 24));
  mkdirSync(workDir, { recursive: true, mode: 0o700 });
  const state = { resource: DATA_RESOURCE, dir, paths, consistency, exclude };
  // Each run is an epoch of its own: a receiver takes nothing of an older one any more.
  return { state, epoch: Math.floor(Date.now() / 1000), tls, clock: systemClock, workDir, onError };
}

async function openEnd(options: SendOptions, dir: string): Promise<MirrorPrimary> {
  const { limit, dscp } = options;
  const rate = limit === undefined ? undefined : createRateLimit(limit);
  return openPrimary({
    ...runOf(options, dir),
    from: POSITION_ZERO,
    tickMs: TICK_MS,
    linkOf: () => ({ ...(rate && { limit: rate }), ...(dscp === undefined ? {} : { dscp }) }),
  });
}

/** Resolves with what `send` would send. Nothing is; the receiver makes the folder, if there is none. Throws CliError. */
export async function preview(options: SendOptions): Promise<Preview> {
  const { address, tls, folder, paths, consistency, signal, onError } = options;
  const source = sourceFolder(options);
  const wanted: Wanted = { folder, paths, consistency, incarnation: randomUUID() };
  const room = await openRoom(address, tls, wanted).catch((error) => {
    throw asCliError(error);
  });
  try {
    const { incarnation } = wanted;
    return await previewCopy({ ...runOf(options, source), shadow: { ...room, incarnation }, signal });
  } catch (error) {
    throw new CliError("failed", `nothing can be said of ${source}: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    await closeRoom(address, tls, wanted.incarnation).catch((error: Error) => onError(error));
  }
}

function attach(primary: MirrorPrimary, { address, instance }: Room, { incarnation }: Wanted): void {
  primary.attach({ instance, incarnation, address });
}

/** A receiver that was restarted has to be asked for the folder anew; one that refuses us ends it. */
async function keepRoom(
  parts: Pick<SendOptions, "address" | "tls" | "signal" | "onError"> & {
    primary: MirrorPrimary;
    wanted: Wanted;
    room: Room;
  },
): Promise<never> {
  let { room } = parts;
  while (!parts.signal.aborted) {
    await pause(OPEN_EVERY_MS, parts.signal);
    if (parts.signal.aborted) break;
    try {
      const now = await openRoom(parts.address, parts.tls, parts.wanted);
      if (now.address !== room.address) attach(parts.primary, now, parts.wanted);
      room = now;
    } catch (error) {
      // It may come back; who is there and refuses will not change its mind.
      if (error instanceof EnrolmentError && error.code !== "unreachable") throw asCliError(error);
      parts.onError(error as Error);
    }
  }
  return new Promise<never>(() => undefined);
}

async function watch(
  { once, onSeen }: SendOptions,
  primary: MirrorPrimary,
  signal: AbortSignal,
): Promise<boolean> {
  let seen: Seen | undefined;
  let goal: Position | undefined;
  for (;;) {
    const [progress] = primary.shadows();
    if (progress) {
      seen = see(seen, progress, performance.now());
      onSeen(seen);
      if (once && progress.phase === "live") goal ??= await primary.seal();
      if (goal && shows(progress, goal)) return true;
      if (!once && signal.aborted) return shows(progress, primary.position());
    }
    if (signal.aborted) return false;
    await pause(LOOK_EVERY_MS, signal);
  }
}

function shows({ visible }: ShadowProgress, goal: Position): boolean {
  return visible.epoch === goal.epoch && visible.version >= goal.version;
}
