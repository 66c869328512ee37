/**
 * A real redis-server that keeps what it acknowledges (`appendfsync always`, no eviction), with a password; or the one
 * that `UNDERSTUDY_REDIS_URL` names.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { Child } from "../child.ts";
import { freePort } from "../ports.ts";
import { createServerFolder, processRun, type Run } from "../run.ts";
import { notOurs } from "./external.ts";
import { newPassword, splitUrl, writePassword } from "./passwords.ts";
import { startServer } from "./server.ts";

const HOST = "127.0.0.1";
const PING_TIMEOUT_MS = 1000;

export type RedisServer = Child & {
  /** With the name of its user, where it is not the default one. */
  readonly url: string;
  /** Empty: it asks for none. */
  readonly passwordFile: string;
};

export async function startRedis({
  run = processRun(),
  name = "redis",
  prefer,
}: {
  run?: Run;
  name?: string;
  prefer?: "container";
} = {}): Promise<RedisServer> {
  const folder = createServerFolder(run, name);
  const external = process.env.UNDERSTUDY_REDIS_URL;
  if (external) {
    const { url, user, password } = splitUrl(external);
    const passwordFile = password ? writePassword(folder, { name: "redis", password }) : "";
    return { ...notOurs("UNDERSTUDY_REDIS_URL"), url: urlAs(user, url), passwordFile };
  }
  const port = await freePort();
  const passwordFile = writePassword(folder, { name: "redis", password: newPassword() });
  const config = join(folder, "redis.conf");
  writeFileSync(config, redisConfig({ port, folder, password: readFileSync(passwordFile, "utf8") }), {
    mode: 0o600,
  });
  const server = await startServer(run, {
    program: "redis-server",
    folder,
    ...(prefer && { prefer }),
    args: [config],
    isReady: () => answersPing(port, readFileSync(passwordFile, "utf8")),
  });
  return Object.assign(server, { url: `redis://${HOST}:${port}`, passwordFile });
}

/** As ioredis' own option: a user before the host would stand for an empty password too, whatever is given beside the URL. */
function urlAs(user: string, text: string): string {
  const url = new URL(text);
  if (user) url.searchParams.set("username", user);
  return url.href;
}

export function redisConfig({
  host = HOST,
  port,
  folder,
  password,
}: {
  host?: string;
  port: number;
  folder: string;
  password: string;
}): string {
  return `bind ${host}
port ${port}
requirepass ${password}
dir "${folder}"
daemonize no
appendonly yes
appendfsync always
maxmemory-policy noeviction
save ""
# Its title would overwrite its environment, by which the guardian knows it.
set-proc-title no
`;
}

/** False while it loads its file: it accepts connections then, and refuses commands. */
function answersPing(port: number, password: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, HOST, () => socket.write(`AUTH ${password}\r\nPING\r\n`));
    let answer = "";
    const finish = (ready: boolean) => {
      socket.destroy();
      resolve(ready);
    };
    socket.setTimeout(PING_TIMEOUT_MS, () => finish(false));
    socket.once("error", () => finish(false));
    socket.once("close", () => finish(false));
    socket.on("data", (bytes) => {
      answer += bytes.toString("latin1");
      if (answer.includes("+PONG\r\n")) finish(true);
      else if (answer.includes("-")) finish(false);
    });
  });
}
