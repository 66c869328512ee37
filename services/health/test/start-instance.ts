/** Starts test/instance.ts as a process of its own. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { readProcStat } from "@understudy/resource/proc-stat";

export type Started = {
  readonly child: ChildProcess;
  readonly address: string;
  readonly pid: number;
  readonly pidStartTicks: number;
  end(): Promise<void>;
};

export async function startInstance(): Promise<Started> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "instance.ts")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [port] = (await once(child.stdout!, "data")) as [Buffer];
  const pid = child.pid!;
  return {
    child,
    address: `127.0.0.1:${Number(port.toString())}`,
    pid,
    pidStartTicks: readProcStat(pid)!.startTicks,
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}
