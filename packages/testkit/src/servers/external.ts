/** A server that was there before us and stays after us: it is used, and never stopped. */

import type { Child } from "../child.ts";
import { TestkitError } from "../error.ts";

export function notOurs(variable: string): Child {
  const refuse = () =>
    new TestkitError(
      "not-ours",
      `${variable} names a server that is not ours to stop: unset it for fault tests`,
    );
  return {
    pid: () => undefined,
    starts: () => 0,
    ready: async () => undefined,
    stop: async () => undefined,
    kill: () => Promise.reject(refuse()),
    restart: () => Promise.reject(refuse()),
    signal: () => {
      throw refuse();
    },
  };
}
