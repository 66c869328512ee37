/** A real HAProxy with a pool "web" for tests, and a client that sends it requests without ever retrying. */

import { randomUUID } from "node:crypto";
import { copyFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { createAuthority, issueCertificate, PEER_NAME, readTls } from "@understudy/service/tls";
import { freePort } from "@understudy/testkit/ports";
import { openRun, type Run } from "@understudy/testkit/run";
import { type HaproxyServer, startHaproxy } from "@understudy/testkit/servers/haproxy";
import type { TrafficDriver } from "../src/driver.ts";
import { haproxyFiles, renderHaproxyConfig } from "../src/haproxy/config.ts";
import type { RuntimeTls } from "../src/haproxy/runtime-address.ts";
import { openHaproxyDriver } from "../src/haproxy.ts";
import { type Origin, startOrigin } from "./origin.ts";

export type Pool = {
  readonly server: HaproxyServer;
  open(): TrafficDriver;
  /** The instance of this name, started when it does not run yet. */
  origin(name: string, options?: { serviceMs?: number }): Promise<Origin>;
  /** Sends one request: the name of the instance that served it; rejects on any status but 200. */
  send(kind: "read" | "write"): Promise<string>;
  stop(): Promise<void>;
};

/** `caller`: the runtime API is across a network, which here is loopback, and this is the name in our certificate. */
export async function startPool({ slots, caller }: { slots: number; caller?: string }): Promise<Pool> {
  const run = openRun();
  const across =
    caller === undefined
      ? undefined
      : { socket: `tls://127.0.0.1:${await freePort()}`, ...(await makeTls(run, caller)) };
  const frontend = `127.0.0.1:${await freePort()}`;
  const specIn = (folder: string) => ({
    name: "web",
    socket: across?.socket ?? join(folder, "admin.sock"),
    backends: { reads: "reads", writes: "writes" },
    slots,
    frontend,
  });
  const server = await startHaproxy({
    run,
    socket: across ? "hole.sock" : "admin.sock",
    files: haproxyFiles("web"),
    config: (dir) =>
      renderHaproxyConfig({
        dir,
        pool: specIn(dir),
        healthPath: "/healthz",
        ...(across && { tlsDir: across.serverDir }),
      }),
  });
  const origins = new Map<string, Origin>();
  const agent = new Agent({ keepAlive: true, maxSockets: 1_000 });
  return {
    server,
    open: () => openHaproxyDriver(specIn(server.folder), across?.tls),
    async origin(name, options = {}) {
      const origin = origins.get(name) ?? (await startOrigin(name, options));
      origins.set(name, origin);
      return origin;
    },
    send: (kind) => send(kind, { frontend, agent }),
    async stop() {
      agent.destroy();
      for (const origin of origins.values()) await origin.close();
      await run.close();
    },
  };
}

/** Certificates for HAProxy, its key where HAProxy looks for it, and for the driver. */
async function makeTls(run: Run, caller: string): Promise<{ serverDir: string; tls: RuntimeTls }> {
  const authority = await createAuthority(join(run.folder, "authority"));
  const [serverDir, clientDir] = [join(run.folder, "haproxy-tls"), join(run.folder, "caller-tls")];
  await issueCertificate(authority, { name: "haproxy", dir: serverDir });
  await issueCertificate(authority, { name: caller, dir: clientDir });
  copyFileSync(join(serverDir, "tls.key"), join(serverDir, "tls.crt.key"));
  return { serverDir, tls: { ...readTls(clientDir), peerName: PEER_NAME } };
}

/** One request without any retry of the client's. Writes carry a key, so that HAProxy may send them again. */
function send(
  kind: "read" | "write",
  { frontend, agent }: { frontend: string; agent: Agent },
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const headers = kind === "write" ? { "idempotency-key": randomUUID() } : {};
  const method = kind === "write" ? "POST" : "GET";
  const outgoing = request(`http://${frontend}/item`, { method, headers, agent }, (response) => {
    response.resume();
    response.once("error", reject);
    response.once("end", () => {
      if (response.statusCode === 200) resolve(String(response.headers["x-name"]));
      else reject(new Error(`${kind}: ${response.statusCode}`));
    });
  });
  outgoing.once("error", reject);
  outgoing.end(kind === "write" ? "item" : undefined);
  return promise;
}
