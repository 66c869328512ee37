/** Renders nats-server.conf: JetStream, loopback or a given address, and a password and rights for each user. */

import type { NatsUser } from "./nats-users.ts";

const MEMORY_STORE = "256MB";
const FILE_STORE = "4GB";

/** `password`: the password itself. */
type UserWithPassword = NatsUser & { readonly password: string };

export type NatsSettings = {
  readonly host: string;
  readonly port: number;
  readonly storeDir: string;
  readonly users: readonly UserWithPassword[];
};

export function natsConfig({ host, port, storeDir, users }: NatsSettings): string {
  return `# Written by Understudy: one user per service, with publish rights on its own subjects only.
host: ${quote(host)}
port: ${port}
server_name: "understudy"
jetstream {
  store_dir: ${quote(storeDir)}
  max_memory_store: ${MEMORY_STORE}
  max_file_store: ${FILE_STORE}
}
${natsUsers(users, ({ password }) => quote(password))}`;
}

/** The users and their rights, in the words of nats-server.conf. `password` gives each one's as it is to stand there, such as "$variable". */
export function natsUsers<U extends NatsUser>(users: readonly U[], password: (user: U) => string): string {
  return `authorization {
  users = [
${users.map((user) => renderUser(user, password(user))).join("\n")}
  ]
}
`;
}

function renderUser(user: NatsUser, password: string): string {
  return `    {
      user: ${quote(user.name)}, password: ${password}
      permissions {
        publish { allow: [${user.publish.map(quote).join(", ")}] }
        subscribe { allow: [${user.subscribe.map(quote).join(", ")}] }
      }
    }`;
}

/** In double quotes, where a "$" starts no variable. */
function quote(text: string): string {
  if (/["\\\n]/.test(text)) throw new RangeError(`"${text}" cannot stand in nats-server.conf`);
  return `"${text}"`;
}
