/** A real nats-server with JetStream, users and rights; or the one that `UNDERSTUDY_NATS_URL` names. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Child } from "../child.ts";
import { accepts, freePort } from "../ports.ts";
import { createServerFolder, processRun, type Run } from "../run.ts";
import { notOurs } from "./external.ts";
import { natsConfig } from "./nats-config.ts";
import { NATS_USERS, type NatsUserName } from "./nats-users.ts";
import { type Credentials, newPassword, splitUrl, writePassword } from "./passwords.ts";
import { startServer } from "./server.ts";

const HOST = "127.0.0.1";

export type NatsServer = Child & {
  readonly url: string;
  credentials(user: NatsUserName): Credentials;
};

export async function startNats({
  run = processRun(),
  name = "nats",
  prefer,
  grants = {},
}: {
  run?: Run;
  name?: string;
  prefer?: "container";
  /** Subjects that a user may publish on besides its own. */
  grants?: Readonly<Partial<Record<NatsUserName, readonly string[]>>>;
} = {}): Promise<NatsServer> {
  const folder = createServerFolder(run, name);
  const external = process.env.UNDERSTUDY_NATS_URL;
  if (external) return externalNats(external, folder);
  const port = await freePort();
  const users = NATS_USERS.map((user) => ({
    ...user,
    publish: [...user.publish, ...(grants[user.name] ?? [])],
    password: newPassword(),
  }));
  const files = new Map(users.map((user) => [user.name, writePassword(folder, user)]));
  const config = join(folder, "nats-server.conf");
  mkdirSync(join(folder, "data"), { recursive: true, mode: 0o700 });
  writeFileSync(config, natsConfig({ host: HOST, port, storeDir: join(folder, "data"), users }), {
    mode: 0o600,
  });
  const server = await startServer(run, {
    program: "nats-server",
    folder,
    ...(prefer && { prefer }),
    args: ["--config", config],
    isReady: () => accepts(port),
  });
  return Object.assign(server, {
    url: `nats://${HOST}:${port}`,
    credentials: (user: NatsUserName) => ({ user, passwordFile: files.get(user)! }),
  });
}

function externalNats(text: string, folder: string): NatsServer {
  const { url, user, password } = splitUrl(text);
  const passwordFile = user ? writePassword(folder, { name: "external", password }) : "";
  return { ...notOurs("UNDERSTUDY_NATS_URL"), url, credentials: () => ({ user, passwordFile }) };
}
