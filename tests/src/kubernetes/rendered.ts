/**
 * Files below k8s/ and examples/ that are rendered from our own code, so that a cluster runs what the tests ran: the rights of
 * the NATS users and the configuration of HAProxy. `node tests/src/kubernetes/rendered.ts` writes them again.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { natsUsers } from "@understudy/testkit/servers/nats-config";
import { NATS_USERS } from "@understudy/testkit/servers/nats-users";
import { haproxyFiles, renderHaproxyConfig } from "@understudy/traffic/haproxy/config";
import { REPOSITORY } from "../sources.ts";

const POOL = "web";
const HAPROXY_DIR = "/run/haproxy";
const THREADS = 2;

const NATS_CLUSTER = `include "./secrets/routes.conf"
cluster {
  name: understudy
  port: 6222
  authorization { user: route, password: $route_password }
  routes: [$route_0, $route_1, $route_2]
}
`;

/** Path from the repository's root -> text. */
export function renderedFiles(): Readonly<Record<string, string>> {
  return {
    "k8s/components/nats/nats.conf": natsConfig(NATS_CLUSTER),
    "k8s/components/one-nats/nats.conf": natsConfig(""),
    ...haproxy("k8s/components/haproxy", {
      socket: "tls://haproxy.understudy.svc:9999",
      tlsDir: "/run/secrets/understudy/tls",
    }),
    ...haproxy("examples/k8s-sidecar/one-pod", { socket: `${HAPROXY_DIR}/admin.sock` }),
  };
}

/** One file: a variable is known in the file alone whose include has brought it. */
function natsConfig(cluster: string): string {
  return `# Rendered: node tests/src/kubernetes/rendered.ts. The passwords are the Secret's.
include "./secrets/passwords.conf"
server_name: $POD_NAME
port: 4222
http_port: 8222
jetstream {
  store_dir: "/data"
  max_memory_store: 64MB
  max_file_store: 4GB
}
${cluster}${natsUsers(NATS_USERS, ({ name }) => `$${name}_password`)}`;
}

function haproxy(
  folder: string,
  { socket, ...tls }: { socket: string; tlsDir?: string },
): Record<string, string> {
  const backends = { reads: "reads", writes: "writes" };
  const pool = { name: POOL, socket, backends, slots: 8, frontend: "0.0.0.0:8080" };
  const config = renderHaproxyConfig({
    dir: HAPROXY_DIR,
    pool,
    healthPath: "/healthz",
    threads: THREADS,
    ...tls,
  });
  const files = { "haproxy.cfg": config, ...haproxyFiles(POOL) };
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [join(folder, name), text]));
}

if (import.meta.main)
  for (const [path, text] of Object.entries(renderedFiles())) writeFileSync(join(REPOSITORY, path), text);
