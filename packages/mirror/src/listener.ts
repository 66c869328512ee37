/** Where the shadow ends of a host are reached: one port for all, each primary says which shadow it wants. */

import type { ListenMirror, MirrorListener } from "./engine.ts";
import { MirrorError } from "./error.ts";
import { decodeFrame } from "./frames.ts";
import { type Hello, openShadowEnd, refuse, type ShadowEnd } from "./shadow.ts";
import { tlsTransport } from "./tls.ts";
import type { Link } from "./transport.ts";

const HELLO_MS_MAX = 5_000;

export const listenMirror: ListenMirror = async ({ host, port, tls, clock, onError, allows }) => {
  const ends = new Map<string, ShadowEnd>();

  async function serve(link: Link): Promise<void> {
    const frames = link.frames();
    const hello = await readHello(link, frames).catch((error) => {
      // It cannot read our answer either, but it can read the version in it.
      if (error instanceof MirrorError && error.code === "version")
        refuse(link, { why: "version", reason: error.message, epoch: 0 });
      throw error;
    });
    if (!hello) return;
    const end = ends.get(nameOf(hello.resource, hello.instance));
    if (!end) {
      const reason = `no shadow ${hello.instance} of ${hello.resource} here`;
      return refuse(link, { why: "unknown-instance", reason, epoch: 0 });
    }
    await end.serve(link, hello, frames);
  }

  const listener = await tlsTransport({ tls, ...(allows && { allows }) }).listen({
    host,
    port,
    serve,
    onError(error) {
      // A primary that is gone is no fault of ours; it comes back or another one does.
      if (!(error instanceof MirrorError && error.code === "unreachable")) onError(error);
    },
  });

  return {
    port: listener.port,
    async openShadow(options) {
      const name = nameOf(options.state.resource, options.instance);
      if (ends.has(name)) throw new MirrorError("io", `shadow ${name} is open already`);
      const end = await openShadowEnd({ ...options, clock, onError });
      ends.set(name, end);
      const forget = <T>(work: () => Promise<T>) => {
        ends.delete(name);
        return work();
      };
      return { ...end, release: () => forget(end.release), close: () => forget(end.close) };
    },
    async close() {
      await listener.close();
      for (const end of ends.values()) await end.close();
      ends.clear();
    },
  } satisfies MirrorListener;
};

async function readHello(link: Link, frames: AsyncGenerator<Uint8Array>): Promise<Hello | undefined> {
  const timer = setTimeout(() => link.close(), HELLO_MS_MAX);
  try {
    const { value } = await frames.next();
    if (!value) return undefined;
    const frame = decodeFrame(value);
    if (frame.type !== "hello") throw new MirrorError("garbage", `${frame.type} frame before hello`);
    return frame;
  } finally {
    clearTimeout(timer);
  }
}

function nameOf(resource: string, instance: string): string {
  return `${resource}/${instance}`;
}
