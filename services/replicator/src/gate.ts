/**
 * What a load balancer asks before it sends a write: `GET /primary`, answered 200 only while the instance is primary under
 * a valid lease. One small listener per instance, on the address it had before when that is still free.
 */

import { lookup } from "node:dns/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** Where a load balancer on the same host reaches it. */
export const GATE_HOST = "127.0.0.1";

export type Gates = {
  /** Resolves to "127.0.0.1:40001". `address`: where it was before; empty: anywhere. */
  open(instance: string, address: string): Promise<string>;
  close(instance: string): void;
  closeAll(): void;
};

/** `host`: name or address of this host that load balancers reach; they are told its address. */
export function openGates(isOpen: (instance: string) => boolean, host = GATE_HOST): Gates {
  const servers = new Map<string, Server>();
  const close = (instance: string) => {
    const server = servers.get(instance);
    servers.delete(instance);
    server?.close();
    server?.closeAllConnections();
  };
  return {
    open: async (instance, address) => {
      close(instance);
      const server = createServer((request, response) => {
        const known = request.url === "/primary";
        const status = !known ? 404 : isOpen(instance) ? 200 : 503;
        response.writeHead(status, { "content-length": "0" }).end();
      });
      servers.set(instance, server);
      const { address: ip } = await lookup(host, { family: 4 });
      const port = await listen(server, { ip, port: Number(address.split(":")[1] ?? 0) });
      return `${ip}:${port}`;
    },
    close,
    closeAll: () => {
      for (const instance of [...servers.keys()]) close(instance);
    },
  };
}

async function listen(server: Server, { ip, port }: { ip: string; port: number }): Promise<number> {
  try {
    await listenOn(server, { ip, port });
  } catch (error) {
    if (port === 0 || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    await listenOn(server, { ip, port: 0 });
  }
  return (server.address() as AddressInfo).port;
}

function listenOn(server: Server, { ip, port }: { ip: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, ip, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
