/**
 * Free loopback ports. They are taken below the kernel's range for outgoing connections (32768 and up): a server that is
 * killed and started again on its port must not find it borrowed by some client in between.
 */

import { randomInt } from "node:crypto";
import { connect, createServer } from "node:net";
import { TestkitError } from "./error.ts";

const LOOPBACK = "127.0.0.1";
const LOWEST = 12_000;
const HIGHEST = 32_000;
const TRIES_MAX = 200;
/** Ports given out by this process: two servers that are started side by side must not get the same one. */
const given = new Set<number>();

export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = randomInt(LOWEST, HIGHEST);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new TestkitError(
    "not-found",
    `no free port on ${LOOPBACK} between ${LOWEST} and ${HIGHEST} in ${TRIES_MAX} tries`,
  );
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, LOOPBACK, () => server.close(() => resolve(true)));
  });
}

/** Whether something accepts connections there: a loopback port, or the path of a Unix socket. */
export function accepts(where: number | string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = typeof where === "number" ? connect(where, LOOPBACK) : connect(where);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
