/** One step of an application's own quiesce and thaw: a program without a shell, or a POST to the instance. */

import { execFile } from "node:child_process";
import { request } from "node:http";
import { promisify } from "node:util";
import type { AppCall } from "@understudy/model/policy";
import { MirrorError } from "./error.ts";

const run = promisify(execFile);
const OUTPUT_BYTES_MAX = 64 * 1024;

export type CallTarget = {
  /** host:port of the instance; empty when it is not known. */
  readonly address: string;
  /** Environment of a program besides our own PATH. */
  readonly env: Readonly<Record<string, string>>;
};

/** Throws MirrorError "io" when it fails or takes longer. */
export async function callApp(call: AppCall, target: CallTarget, timeoutMs: number): Promise<void> {
  try {
    if (call.command.length > 0) await runCommand(call.command, target, timeoutMs);
    else await post(`http://${target.address}${call.http}`, timeoutMs);
  } catch (error) {
    const what = call.command[0] ?? `POST ${call.http}`;
    throw new MirrorError("io", `${what}: ${(error as Error).message}`, { cause: error });
  }
}

async function runCommand(
  [program, ...args]: readonly string[],
  { address, env }: CallTarget,
  timeoutMs: number,
): Promise<void> {
  await run(program!, args, {
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { PATH: process.env.PATH ?? "", ...env, UNDERSTUDY_ADDRESS: address },
  });
}

function post(url: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const sent = request(url, { method: "POST", signal, agent: false }, (answer) => {
      answer.resume();
      const status = answer.statusCode ?? 0;
      answer.on("end", () => (status < 300 ? resolve() : reject(new Error(`answered ${status}`))));
      answer.on("error", reject);
    });
    sent.on("error", (error) =>
      reject(signal.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error),
    );
    sent.end();
  });
}
