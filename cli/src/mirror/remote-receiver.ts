/**
 * A receiver that is started over a remote shell, as rsync does it: `ssh HOST understudy mirror --listen ... DST`. It prints
 * its port and token as its first line, and ends when we let go of its standard input.
 */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { z } from "zod";
import { CliError } from "../error.ts";
import type { Remote } from "./place.ts";

const LISTENING_MS_MAX = 30_000;
const END_MS_MAX = 5_000;

const listeningSchema = z.object({ event: z.literal("listening"), port: z.number(), token: z.string() });

export type RemoteReceiver = { readonly port: number; readonly token: string; close(): Promise<void> };

export async function startRemoteReceiver(options: {
  readonly shell: string;
  readonly program: string;
  readonly remote: Remote;
}): Promise<RemoteReceiver> {
  const { shell, program, remote } = options;
  const [file, ...args] = shell.split(/\s+/).filter((word) => word !== "");
  const command = `${program} mirror --listen 0 --until-eof --json ${quoted(remote.folder)}`;
  const child = spawn(file!, [...args, remote.host.replace(/[[\]]/g, ""), command], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const close = async () => {
    child.stdin.end();
    const late = setTimeout(() => child.kill(), END_MS_MAX);
    await ended;
    clearTimeout(late);
  };
  child.stdin.on("error", () => undefined);
  const { promise, resolve, reject } = Promise.withResolvers<RemoteReceiver>();
  const late = setTimeout(() => fail(`said nothing for ${LISTENING_MS_MAX / 1000} s`), LISTENING_MS_MAX);
  const fail = (why: string) =>
    reject(new CliError("failed", `the receiver on ${remote.host} (${shell} ... ${command}) ${why}`));
  child.once("error", (error) => fail(`cannot be started: ${error.message}`));
  child.once("exit", (code) =>
    fail(`ended with ${code}: is understudy installed there? --remote-program says how`),
  );
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    const first = listeningSchema.safeParse(jsonOf(line));
    if (first.success) resolve({ ...first.data, close });
  });
  try {
    return await promise;
  } catch (error) {
    await close();
    throw error;
  } finally {
    clearTimeout(late);
  }
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
