/** Two ends of a mirror for tests: real folders, real TLS on loopback, everything ended with the test. */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "@understudy/model/clock";
import type { Consistency, HoldSpec } from "@understudy/model/policy";
import { POSITION_ZERO, type Position } from "@understudy/model/position";
import { systemClock } from "@understudy/service/clock";
import { createAuthority, issueCertificate, readTls, type TlsMaterial } from "@understudy/service/tls";
import type { SeedOver } from "../src/datagram/choice.ts";
import type {
  MirroredState,
  MirrorListener,
  MirrorPrimary,
  MirrorShadow,
  StateSource,
} from "../src/engine.ts";
import type { LinkOf } from "../src/limited-transport.ts";
import { listenMirror } from "../src/listener.ts";
import { openPrimary } from "../src/primary.ts";
import type { Writer } from "../src/still.ts";

export const WAIT_MS_MAX = 40_000;
export const TICK_MS = 20;

export type World = {
  readonly dir: string;
  readonly tls: TlsMaterial;
  readonly errors: Error[];
  /** Closes it with the test, after whatever is opened later. */
  own<T extends { close(): Promise<void> }>(end: T): T;
  /** A certificate of our authority under another name. */
  certificate(name: string): Promise<TlsMaterial>;
  listen(port?: number): Promise<MirrorListener>;
  primary(options?: {
    name?: string;
    epoch?: number;
    from?: Position;
    tls?: TlsMaterial;
    tickMs?: number;
    writer?: Writer;
    seedOver?: SeedOver;
    limitMbps?: number;
    linkOf?: LinkOf;
    source?: StateSource;
    /** By default the one of all ends. */
    clock?: Clock;
  }): Promise<MirrorPrimary>;
  shadow(
    listener: MirrorListener,
    options: { name: string; incarnation?: string; show?: (position: Position) => Promise<void> },
  ): Promise<MirrorShadow>;
  stateOf(name: string): MirroredState;
  /** Where a path of an instance's state lies. */
  at(name: string, path: string): string;
};

export async function openWorld(
  t: TestContext,
  {
    consistency = "none",
    paths = ["."],
    criticalPaths = [],
    hold,
    dir = mkdtempSync(join(tmpdir(), "understudy-mirror-")),
    clock = systemClock,
  }: {
    consistency?: Consistency;
    paths?: string[];
    criticalPaths?: string[];
    hold?: HoldSpec;
    dir?: string;
    clock?: Clock;
  } = {},
): Promise<World> {
  const errors: Error[] = [];
  const open: { close(): Promise<void> }[] = [];
  t.after(async () => {
    for (const each of open.reverse()) await each.close().catch(() => undefined);
    rmSync(dir, { recursive: true, force: true });
  });
  const authority = await createAuthority(join(dir, "ca"));
  const certificate = async (name: string) => {
    await issueCertificate(authority, { name, dir: join(dir, "tls", name) });
    return readTls(join(dir, "tls", name));
  };
  const tls = await certificate("replicator-a");
  const own = <T extends { close(): Promise<void> }>(end: T): T => {
    open.push(end);
    return end;
  };
  const onError = (error: Error) => void errors.push(error);
  const stateOf = (name: string): MirroredState => {
    mkdirSync(join(dir, name, "state"), { recursive: true });
    const held = hold && { hold };
    return { resource: "catalog", dir: join(dir, name, "state"), paths, consistency, criticalPaths, ...held };
  };
  return {
    dir,
    tls,
    errors,
    own,
    certificate,
    stateOf,
    at: (name, path) => join(stateOf(name).dir, path),
    listen: async (port = 0) => own(await listenMirror({ host: "127.0.0.1", port, tls, clock, onError })),
    primary: async ({
      name = "one",
      epoch = 1,
      from = POSITION_ZERO,
      tls: other = tls,
      tickMs = TICK_MS,
      writer,
      seedOver,
      limitMbps,
      linkOf,
      source,
      clock: itsClock = clock,
    } = {}) =>
      own(
        await openPrimary({
          state: stateOf(name),
          epoch,
          from,
          tickMs,
          tls: other,
          ...(writer && { writer }),
          ...(source && { source }),
          clock: itsClock,
          workDir: join(dir, name, "work"),
          onError,
          ...(seedOver && { seedOver }),
          ...(limitMbps !== undefined && { limitMbps }),
          ...(linkOf && { linkOf }),
        }),
      ),
    shadow: async (listener, { name, incarnation = "i1", show }) =>
      own(
        await listener.openShadow({
          state: stateOf(name),
          instance: name,
          incarnation,
          workDir: join(dir, name, "work"),
          ...(show && { show }),
        }),
      ),
  };
}

export function attach(
  primary: MirrorPrimary,
  listener: MirrorListener,
  name: string,
  incarnation = "i1",
): void {
  primary.attach({ instance: name, incarnation, address: `127.0.0.1:${listener.port}` });
}

export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_MS_MAX;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${WAIT_MS_MAX} ms in vain until ${what}`);
    await sleep(5);
  }
}

/** Seals, and waits until this shadow shows what was sealed. */
export async function caughtUp(primary: MirrorPrimary, shadow: MirrorShadow): Promise<Position> {
  const position = await primary.seal();
  await until(`the shadow shows version ${position.version}`, () => {
    const visible = shadow.visible();
    return visible.version >= position.version && visible.epoch === position.epoch;
  });
  return position;
}
