/**
 * Renders the folder that one HAProxy needs to serve a pool: haproxy.cfg, plug.lua and the map in which the driver
 * keeps which slot holds which instance.
 *
 * The idea that matters is the plug. A backend whose servers are all unusable answers 503 at once, which would fail
 * every write while the primary changes. So each backend has one more server, `plug`, with a single connection that one
 * endless request of our own holds: a backend without a usable server is then full, not empty, and HAProxy queues what
 * arrives until a target is enabled or `timeout queue` ends. Queued requests were sent to nobody, so any method and any
 * body may wait.
 */

import { join } from "node:path";
import { asLabel } from "@understudy/model/names";
import type { PoolSpec } from "@understudy/model/policy";
import { remoteOf } from "./runtime-address.ts";

const PLUG_FILE = "plug.lua";
/** HAProxy 2.6 does not hand the arguments of lua-load to the script, but its own environment. */
const PLUG_VARIABLE = "UNDERSTUDY_PLUGS";
const PLUG_PATH = "/__plug";

/** Names in the certificates of those who may use the runtime API across a network. */
const RUNTIME_CALLERS = ["balancer", "collector"];

/** More than any pool needs by far, and few enough that `show stat` stays cheap. */
export const SLOTS_MAX = 128;

export type HaproxyOptions = {
  /** Where the rendered files, the plug's sockets and the map live; HAProxy must be able to write sockets there. */
  readonly dir: string;
  readonly pool: Pick<PoolSpec, "name" | "socket" | "backends" | "slots" | "frontend">;
  /** Path that answers 200 when an instance works; empty: a TCP check. */
  readonly healthPath: string;
  /** Methods that count as reads. */
  readonly reads?: readonly string[];
  /** Connections in work at one server; what comes on top waits in HAProxy. */
  readonly serverConnectionsMax?: number;
  readonly threads?: number;
  /** For a runtime API across a network: folder with ca.crt, tls.crt and its key as tls.crt.key, where HAProxy looks for it. */
  readonly tlsDir?: string;
};

/** Name of the map in which the driver keeps the slots of a pool. */
export function slotMapFile(pool: string): string {
  return `${asLabel(pool, "pool")}.slots.map`;
}

/** The text of haproxy.cfg; throws a RangeError on values that cannot stand in one. */
export function renderHaproxyConfig(options: HaproxyOptions): string {
  checkOptions(options);
  return [globals, defaults, frontend, readBackend, writeBackend, plugs, remoteRuntime]
    .map((section) => section(options))
    .join("\n");
}

/** The files that must lie beside haproxy.cfg before HAProxy starts: name -> text. */
export function haproxyFiles(pool: string): Readonly<Record<string, string>> {
  return { [PLUG_FILE]: PLUG_SCRIPT, [slotMapFile(pool)]: "" };
}

function checkOptions({ dir, pool, healthPath, reads = [], tlsDir }: HaproxyOptions): void {
  const slots = pool.slots;
  if (!Number.isInteger(slots) || slots < 1 || slots > SLOTS_MAX)
    throw new RangeError(`pool ${pool.name}: slots ${slots}, must be 1 to ${SLOTS_MAX}`);
  // One stray space or newline in a value would become another directive.
  const remote = remoteOf(pool.socket) !== undefined;
  if (remote !== (tlsDir !== undefined))
    throw new RangeError(`pool ${pool.name}: tls://host:port and a folder of certificates go together`);
  const words = [dir, pool.socket, pool.frontend, pool.backends.reads, pool.backends.writes, tlsDir ?? dir];
  for (const word of [...words, ...reads]) {
    if (!/^[\w./:@-]+$/.test(word))
      throw new RangeError(`pool ${pool.name}: "${word}" cannot stand in haproxy.cfg`);
  }
  if (healthPath !== "" && !/^\/[\w./?=&-]*$/.test(healthPath))
    throw new RangeError(`pool ${pool.name}: health path "${healthPath}" cannot stand in haproxy.cfg`);
}

function globals(options: HaproxyOptions): string {
  const { dir, pool, threads = 1 } = options;
  const plugged = [pool.backends.reads, pool.backends.writes].map((name) => `unix@${plugSocket(dir, name)}`);
  return `# Rendered by Understudy; the reasons are in drivers/traffic/README.md.
global
  nbthread ${threads}
  fd-hard-limit 20000
  tune.bufsize 65536
  hard-stop-after 30s
  setenv ${PLUG_VARIABLE} "${plugged.join(" ")}"
  lua-load ${join(dir, PLUG_FILE)}
  stats socket ${localSocket(options)} mode 600 level admin
  stats timeout 24d
`;
}

function localSocket({ dir, pool }: HaproxyOptions): string {
  return remoteOf(pool.socket) ? join(dir, "admin.sock") : pool.socket;
}

function defaults(): string {
  // `timeout connect` is also the pause before a retry on the same server. `timeout server` is no failover tool.
  // 425 means "not executed", so it may be sent to the next server whatever the method; a response time-out may not:
  // retrying it would multiply the load on a machine that is only slow.
  return `defaults
  mode http
  load-server-state-from-file none
  timeout client 60s
  timeout http-request 10s
  timeout http-keep-alive 60s
  timeout connect 50ms
  timeout server 10s
  timeout queue 10s
  timeout check 1s
  timeout tarpit 24d
  retries 50
  option redispatch 1
  retry-on conn-failure empty-response 425
  no log
`;
}

function frontend({ pool, reads = ["GET", "HEAD"] }: HaproxyOptions): string {
  const { reads: readBackendName, writes } = pool.backends;
  return `frontend ${pool.name}
  bind ${pool.frontend}
  acl read method ${reads.join(" ")}
  # Without it a body that arrives in a second packet could not be sent again.
  option http-buffer-request
  http-request deny deny_status 404 if { path ${PLUG_PATH} }
  # A write without a key might be executed twice when it is sent again.
  http-request disable-l7-retry if !read !{ req.hdr(Idempotency-Key) -m found }
  http-response set-status 503 if { status 425 }
  # Health checks never eject the last one: with every read server out (only the plug is left), reads go to a primary that works.
  use_backend ${writes} if read { nbsrv(${readBackendName}) eq 1 } { nbsrv(${writes}) ge 2 }
  use_backend ${readBackendName} if read
  default_backend ${writes}
`;
}

function readBackend(options: HaproxyOptions): string {
  const { pool, healthPath } = options;
  const check = healthPath === "" ? [] : [`  option httpchk GET ${healthPath}`];
  return backend(options, { name: pool.backends.reads, check, upMs: 1_000, downMs: 100 });
}

function writeBackend(options: HaproxyOptions): string {
  return backend(options, {
    name: options.pool.backends.writes,
    check: ["  option httpchk GET /primary"],
    upMs: 100,
    downMs: 50,
  });
}

function backend(
  { dir, pool, serverConnectionsMax = 200 }: HaproxyOptions,
  { name, check, upMs, downMs }: { name: string; check: readonly string[]; upMs: number; downMs: number },
): string {
  const slots = Array.from(
    { length: pool.slots },
    (_, index) => `  server ${slotName(index)} 127.0.0.1:1 check disabled`,
  );
  return `backend ${name}
  balance roundrobin
${check.map((line) => `${line}\n`).join("")}  http-request set-timeout server 24d if { path ${PLUG_PATH} }
  http-request set-priority-class int(-1000) if { path ${PLUG_PATH} }
  use-server plug if { path ${PLUG_PATH} }
  http-response set-header x-understudy-instance %[srv_name,map_str(${join(dir, slotMapFile(pool.name))},none)]
  # The first refused connection means down, and down means queue: new requests do not burn their retries on a dead server.
  # Health tells of what hangs, and a refused connection of what died; checks are what brings a server back, so those that are down or in doubt are in a hurry.
  default-server inter ${upMs}ms fastinter ${downMs}ms downinter ${downMs}ms fall 2 rise 1 maxconn ${serverConnectionsMax} observe layer4 error-limit 1 on-error mark-down
${slots.join("\n")}
  server plug unix@${join(dir, "hole.sock")} maxconn 1 observe none
`;
}

/** Slots are named s1..sN in both backends; slot k of one and of the other hold the same instance. */
export function slotName(index: number): string {
  return `s${index + 1}`;
}

function plugs({ dir, pool }: HaproxyOptions): string {
  const { reads, writes } = pool.backends;
  const entry = (name: string) => `frontend plug_${name}
  bind unix@${plugSocket(dir, name)} mode 600
  timeout client 24d
  default_backend ${name}
`;
  return `${entry(reads)}
${entry(writes)}
# Where the plug's endless request ends: it is never answered. Whatever else strays here, while the plug is not held,
# was not executed; the pause keeps it from burning its retries.
frontend hole
  bind unix@${join(dir, "hole.sock")} mode 600
  timeout client 24d
  http-request tarpit deny_status 425 if { path ${PLUG_PATH} }
  http-request lua.pause
  http-request return status 425
`;
}

/**
 * The runtime API for those who have a certificate of our authority and the right name in it. HAProxy 2.6 takes `ssl` on
 * a stats socket and then speaks plain text there, so a front end of its own leads to the local socket.
 */
function remoteRuntime(options: HaproxyOptions): string {
  const remote = remoteOf(options.pool.socket);
  if (!remote) return "";
  const dir = options.tlsDir!;
  return `frontend runtime
  mode tcp
  bind *:${remote.port} ssl crt ${join(dir, "tls.crt")} ca-file ${join(dir, "ca.crt")} verify required ssl-min-ver TLSv1.2
  timeout client 24d
  tcp-request content reject unless { ssl_c_s_dn(CN) -m str ${RUNTIME_CALLERS.join(" ")} }
  default_backend runtime

backend runtime
  mode tcp
  timeout server 24d
  server local unix@${localSocket(options)}
`;
}

function plugSocket(dir: string, backendName: string): string {
  return join(dir, `plug-${backendName}.sock`);
}

const PLUG_SCRIPT = `-- Holds the only connection of each backend's plug for ever, and takes it again 20 ms after it is lost.
-- ${PLUG_VARIABLE}: the addresses of the plug frontends.
local function hold(address)
  while true do
    local socket = core.tcp()
    socket:settimeout(2000000)
    if socket:connect(address) then
      socket:send("GET ${PLUG_PATH} HTTP/1.1\\r\\nHost: plug\\r\\n\\r\\n")
      socket:receive("*l")
    end
    socket:close()
    core.msleep(20)
  end
end
core.register_action("pause", { "http-req" }, function() core.msleep(20) end)
for address in os.getenv("${PLUG_VARIABLE}"):gmatch("%S+") do
  core.register_task(function() hold(address) end)
end
`;
