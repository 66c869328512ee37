/**
 * Runs once before everything else of the compose cluster: writes the secrets of the deployment (secrets/material.ts) and the
 * configuration files of each part into a volume that only this part mounts. `up` again changes nothing that is in use.
 */

import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { applicationName, writeTls } from "@understudy/service/tls";
import type { Context } from "@understudy/testkit/context";
import { writeContext } from "@understudy/testkit/context";
import { natsConfig } from "@understudy/testkit/servers/nats-config";
import { NATS_USERS, SERVICE_NAMES } from "@understudy/testkit/servers/nats-users";
import { redisConfig } from "@understudy/testkit/servers/redis";
import { haproxyFiles, renderHaproxyConfig } from "@understudy/traffic/haproxy/config";
import { type Material, natsPasswords, openMaterial, PEERS } from "../secrets/material.ts";
import { HAPROXY, OWNER, POOL, PORTS, RESOURCE, SECOND_HOST, SECRETS, VOLUMES } from "./places.ts";

const SLOTS = 8;
const ANYWHERE = "0.0.0.0";
const volume = (name: string) => join(VOLUMES, name);
const material = await openMaterial(volume("authority"));

await certify(material);
writeNats(material);
writeRedis(material);
writeHaproxy();
writeContextOf();
for (const name of readdirSync(VOLUMES)) giveAway(volume(name));
process.stdout.write("certificates, passwords and configuration files are in place\n");

/** For each that speaks gRPC; the authority's key stays in a volume that nobody else mounts. */
async function certify({ ca, certificate }: Material): Promise<void> {
  const second = { peer: `replicator-${SECOND_HOST}`, at: "replicator-b" };
  const application = { peer: applicationName(RESOURCE), at: RESOURCE };
  for (const { peer, at } of [...PEERS.map((name) => ({ peer: name, at: name })), second, application]) {
    const dir = join(volume(at), "tls");
    const known = join(dir, "ca.crt");
    if (existsSync(known) && readFileSync(known, "utf8") === ca) continue;
    writeTls(dir, await certificate(peer));
  }
}

/** The password of each user of the bus, in the volume of who uses it. */
function writeNats(from: Material): void {
  const passwords = natsPasswords(from);
  const services: readonly string[] = SERVICE_NAMES;
  for (const [user, password] of passwords) {
    const file = services.includes(user) ? join(user, "nats-password") : join("cli", `nats-${user}`);
    write(volume(file), password);
  }
  write(volume("replicator-b/nats-password"), passwords.get("replicator")!);
  const users = NATS_USERS.map((user) => ({ ...user, password: passwords.get(user.name)! }));
  const text = natsConfig({ host: ANYWHERE, port: PORTS.nats, storeDir: "/data/jetstream", users });
  write(volume("nats/nats-server.conf"), text);
}

function writeRedis(from: Material): void {
  const password = from.redisPassword();
  for (const file of ["redis/password", "replicator/redis-password", "replicator-b/redis-password"])
    write(volume(file), password);
  write(volume("cli/redis-password"), password);
  const text = redisConfig({ host: ANYWHERE, port: PORTS.redis, folder: "/state", password });
  write(volume("redis/redis.conf"), text);
}

function writeHaproxy(): void {
  const pool = {
    name: POOL,
    socket: HAPROXY.socket,
    backends: { reads: "reads", writes: "writes" },
    slots: SLOTS,
    frontend: `${ANYWHERE}:${PORTS.web}`,
  };
  // Beside its sockets: HAProxy writes there, and the driver's map must be where the configuration says.
  for (const [name, text] of Object.entries(haproxyFiles(POOL))) {
    const file = join(volume("haproxy-run"), name);
    if (!existsSync(file)) write(file, text);
  }
  write(
    join(volume("haproxy"), "haproxy.cfg"),
    renderHaproxyConfig({ dir: HAPROXY.run, pool, healthPath: "/healthz" }),
  );
}

function writeContextOf(): void {
  const secret = (name: string) => join(SECRETS, name);
  const grpc = (name: string) => `${name}:${PORTS.grpc}`;
  const context: Context = {
    version: 1,
    nats: { url: `nats://nats:${PORTS.nats}`, user: "cli", passwordFile: secret("nats-cli") },
    redis: { url: `redis://redis:${PORTS.redis}`, passwordFile: secret("redis-password") },
    tlsDir: secret("tls"),
    grpc: {
      replicator: grpc("replicator"),
      otherReplicators: [grpc("replicator-b")],
      health: grpc("health"),
      balancer: grpc("balancer"),
    },
    probes: Object.fromEntries(SERVICE_NAMES.map((name) => [name, `${name}:${PORTS.probes}`])),
    subscriber: { user: "subscriber", passwordFile: secret("nats-subscriber") },
  };
  mkdirSync(volume("cli"), { recursive: true });
  writeContext(join(volume("cli"), "context.json"), context);
}

function write(file: string, text: string): void {
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, text, { mode: 0o600 });
}

/** Named volumes are born root's. What services wrote themselves is theirs already and need not be walked through. */
function giveAway(path: string, depth = 2): void {
  chownSync(path, OWNER, OWNER);
  if (depth === 0) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) giveAway(join(path, entry.name), depth - 1);
    else if (entry.isFile()) chownSync(join(path, entry.name), OWNER, OWNER);
  }
}
