/**
 * Two ends of a mirror for a benchmark: real folders, real TLS on loopback, and a proxy between them that counts every
 * byte both ways, so that what is counted is exact on any machine.
 */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MirroredState, MirrorPrimary, MirrorShadow } from "@understudy/mirror/engine";
import { listenMirror } from "@understudy/mirror/listener";
import { openPrimary } from "@understudy/mirror/primary";
import { POSITION_ZERO } from "@understudy/model/position";
import { systemClock } from "@understudy/service/clock";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";

const WAIT_MS_MAX = 480_000;
/** Nothing is sealed but what a benchmark asks for. */
const TICK_MS = 3_600_000;

export type MirrorEnds = {
  readonly dir: string;
  readonly from: string;
  readonly to: string;
  readonly primary: MirrorPrimary;
  readonly shadow: MirrorShadow;
  /** Bytes both ways since the beginning, handshakes included. */
  readonly wireBytes: () => number;
  /** Seals now and waits until the shadow shows it; resolves with the time it took. */
  readonly visibleMs: () => Promise<number>;
};

/** `fill` makes the primary's state before anything reads it. Everything is removed when `work` has ended. */
export async function withMirror<T>(
  { name, fill }: { name: string; fill: (dir: string) => void },
  work: (ends: MirrorEnds) => Promise<T>,
): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), `understudy-bench-${name}-`));
  const close: (() => Promise<void> | void)[] = [() => rmSync(dir, { recursive: true, force: true })];
  try {
    const from = join(dir, "primary");
    mkdirSync(from);
    fill(from);
    return await work(await openEnds(dir, { from, own: (end) => void close.push(end) }));
  } finally {
    for (const end of close.reverse()) await end();
  }
}

async function openEnds(
  dir: string,
  { from, own }: { from: string; own: (close: () => Promise<void> | void) => void },
): Promise<MirrorEnds> {
  const state = (folder: string): MirroredState => {
    return { resource: "bench", dir: folder, paths: ["."], consistency: "none" };
  };
  const to = join(dir, "shadow");
  mkdirSync(to);
  const authority = await createAuthority(join(dir, "ca"));
  await issueCertificate(authority, { name: "replicator", dir: join(dir, "tls") });
  const common = {
    tls: readTls(join(dir, "tls")),
    clock: systemClock,
    onError: (error: Error) => console.error(`bench: ${error.message}`),
  };
  const listener = await listenMirror({ host: "127.0.0.1", port: 0, ...common });
  own(() => listener.close());
  const shadow = await listener.openShadow({
    state: state(to),
    instance: "shadow",
    incarnation: "1",
    workDir: join(dir, "shadow-work"),
  });
  const proxy = await countingProxy(listener.port);
  own(proxy.close);
  const primary = await openPrimary({
    state: state(from),
    epoch: 1,
    from: POSITION_ZERO,
    tickMs: TICK_MS,
    workDir: join(dir, "primary-work"),
    ...common,
  });
  own(() => primary.close());
  primary.attach({ instance: "shadow", incarnation: "1", address: `127.0.0.1:${proxy.port}` });
  return {
    dir,
    from,
    to,
    primary,
    shadow,
    wireBytes: proxy.bytes,
    visibleMs: () => visible(primary, shadow),
  };
}

async function visible(primary: MirrorPrimary, shadow: MirrorShadow): Promise<number> {
  const start = performance.now();
  const { version } = await primary.seal();
  while (shadow.visible().version < version) {
    if (performance.now() > start + WAIT_MS_MAX)
      throw new Error(`the shadow does not show the state within ${WAIT_MS_MAX} ms`);
    await sleep(1);
  }
  return Math.round(performance.now() - start);
}

/** Passes TCP on to `port` and counts what goes through, both ways. */
async function countingProxy(
  port: number,
): Promise<{ port: number; bytes: () => number; close: () => Promise<void> }> {
  let bytes = 0;
  const server = createServer((client) => {
    const onward = connect({ host: "127.0.0.1", port, noDelay: true });
    client.setNoDelay(true);
    for (const [from, to] of [
      [client, onward],
      [onward, client],
    ] as const) {
      from.on("data", (chunk) => {
        bytes += chunk.length;
      });
      from.on("error", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    bytes: () => bytes,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
