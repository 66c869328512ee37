/**
 * Free ports to hand to a program that will bind them itself. Somebody else may take one in between; ports below
 * the kernel's ephemeral range make that rare (no outgoing connection gets one), and the driver starts again when it happens.
 */

import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";

const PORT_MIN = 10_000;
const PORT_MAX = 32_000;
const ATTEMPTS_MAX = 200;

/** A port outside `taken` that could be bound at `host` a moment ago. `random` gives numbers in [0, 1). */
export async function findFreePort(
  host: string,
  taken: ReadonlySet<number>,
  random: () => number,
): Promise<number> {
  const top = Math.max(PORT_MIN + 1, Math.min(PORT_MAX, ephemeralFrom() - 1));
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const port = PORT_MIN + Math.floor(random() * (top - PORT_MIN));
    if (!taken.has(port) && (await tryBind(host, port)) !== undefined) return port;
  }
  return bindAny(host);
}

export function isListening(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port });
  socket.once("connect", () => resolve(true));
  socket.once("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}

function ephemeralFrom(): number {
  try {
    return Number.parseInt(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "latin1"), 10) || PORT_MAX;
  } catch {
    // Not readable in some sandboxes; Linux starts at 32768 unless told otherwise.
    return PORT_MAX;
  }
}

async function bindAny(host: string): Promise<number> {
  const port = await tryBind(host, 0);
  if (port === undefined) throw new Error(`no free port at ${host}`);
  return port;
}

function tryBind(host: string, port: number): Promise<number | undefined> {
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  const server = createServer();
  server.once("error", () => resolve(undefined));
  server.listen({ host, port, exclusive: true }, () => {
    const address = server.address();
    const bound = typeof address === "object" && address ? address.port : undefined;
    server.close(() => resolve(bound));
  });
  return promise;
}
