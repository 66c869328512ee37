/**
 * Runs once before everything else of the compose cluster: makes the certificates, passwords and configuration files of each
 * part in a volume that only this part mounts. Whatever is there already is kept, so that `up` again changes nothing.
 */

import { randomBytes } from "node:crypto";
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { applicationName, createAuthority, issueCertificate } from "@understudy/service/tls";
import type { Context } from "@understudy/testkit/context";
import { writeContext } from "@understudy/testkit/context";
import { natsConfig } from "@understudy/testkit/servers/nats-config";
import { NATS_USERS, SERVICE_NAMES } from "@understudy/testkit/servers/nats-users";
import { redisConfig } from "@understudy/testkit/servers/redis";
import { haproxyFiles, renderHaproxyConfig } from "@understudy/traffic/haproxy/config";
import { HAPROXY, OWNER, POOL, PORTS, RESOURCE, SECRETS, VOLUMES } from "./places.ts";

const SLOTS = 8;
const PASSWORD_BYTES = 24;
const ANYWHERE = "0.0.0.0";
const volume = (name: string) => join(VOLUMES, name);
const authority = await createAuthority(volume("authority"));

await certify();
writeNats(passwordsOf(NATS_USERS.map(({ name }) => name)));
writeRedis();
writeHaproxy();
writeContextOf();
for (const name of readdirSync(VOLUMES)) giveAway(volume(name));
process.stdout.write("certificates, passwords and configuration files are in place\n");

/** A certificate for each that speaks gRPC; the authority's key stays in a volume that nobody else mounts. */
async function certify(): Promise<void> {
  const peers = [...SERVICE_NAMES, "cli"].map((name) => ({ name, dir: join(volume(name), "tls") }));
  for (const { name, dir } of [
    ...peers,
    { name: applicationName(RESOURCE), dir: join(volume(RESOURCE), "tls") },
  ])
    if (!existsSync(join(dir, "tls.crt"))) await issueCertificate(authority, { name, dir });
}

/** One password per user of the bus, in the volume of who uses it. */
function passwordsOf(names: readonly string[]): Map<string, string> {
  return new Map(
    names.map((name) => {
      const services: readonly string[] = SERVICE_NAMES;
      const file = services.includes(name)
        ? join(volume(name), "nats-password")
        : join(volume("cli"), `nats-${name}`);
      return [name, keptSecret(file)];
    }),
  );
}

function writeNats(passwords: ReadonlyMap<string, string>): void {
  const users = NATS_USERS.map((user) => ({ ...user, password: passwords.get(user.name)! }));
  const text = natsConfig({ host: ANYWHERE, port: PORTS.nats, storeDir: "/data/jetstream", users });
  write(join(volume("nats"), "nats-server.conf"), text);
}

function writeRedis(): void {
  const password = keptSecret(join(volume("redis"), "password"));
  write(
    join(volume("redis"), "redis.conf"),
    redisConfig({ host: ANYWHERE, port: PORTS.redis, folder: "/state", password }),
  );
  for (const user of ["replicator", "cli"]) write(join(volume(user), "redis-password"), password);
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
    grpc: { replicator: grpc("replicator"), health: grpc("health"), balancer: grpc("balancer") },
    probes: Object.fromEntries(SERVICE_NAMES.map((name) => [name, `${name}:${PORTS.probes}`])),
    subscriber: { user: "subscriber", passwordFile: secret("nats-subscriber") },
  };
  mkdirSync(volume("cli"), { recursive: true });
  writeContext(join(volume("cli"), "context.json"), context);
}

function keptSecret(file: string): string {
  if (!existsSync(file)) write(file, randomBytes(PASSWORD_BYTES).toString("base64url"));
  return readFileSync(file, "utf8");
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
