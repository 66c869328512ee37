/** A real HAProxy under a configuration of the caller's. */

import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Child } from "../child.ts";
import { TestkitError } from "../error.ts";
import { accepts } from "../ports.ts";
import { createServerFolder, processRun, type Run } from "../run.ts";
import { findProgram } from "./program.ts";
import { startServer } from "./server.ts";

const run = promisify(execFile);

export type HaproxyServer = Child & { readonly configFile: string; readonly folder: string };

/**
 * Starts HAProxy and resolves when `socket`, the runtime socket that the configuration opens, accepts connections.
 * `config` gets the folder it runs in, where its sockets and Lua files (`files`: name -> text) belong.
 */
export async function startHaproxy(options: {
  config: (folder: string) => string;
  /** File name of the runtime socket inside the folder. */
  socket: string;
  files?: Readonly<Record<string, string>>;
  run?: Run;
  name?: string;
}): Promise<HaproxyServer> {
  const owner = options.run ?? processRun();
  const folder = createServerFolder(owner, options.name ?? "haproxy");
  const configFile = join(folder, "haproxy.cfg");
  writeFileSync(configFile, options.config(folder), { mode: 0o600 });
  for (const [name, text] of Object.entries(options.files ?? {})) writeFileSync(join(folder, name), text);
  await checkConfig(configFile, folder);
  const server = await startServer(owner, {
    program: "haproxy",
    folder,
    // -db: in the foreground, without a master process that would outlive a kill.
    args: ["-db", "-f", configFile],
    isReady: () => accepts(join(folder, options.socket)),
  });
  return Object.assign(server, { configFile, folder });
}

/** HAProxy's own words about a wrong configuration are better than a start that fails. */
async function checkConfig(configFile: string, folder: string): Promise<void> {
  const program = await findProgram("haproxy");
  if (program.how === "docker") return;
  try {
    await run(program.file, ["-c", "-f", configFile], {
      cwd: folder,
      env: { ...process.env, ...program.env },
    });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new TestkitError("not-ready", `haproxy refuses ${configFile}:\n${stderr || message}`, {
      cause: error,
    });
  }
}
