/**
 * What a load balancer asks before it sends a write: `GET /primary`, answered 200 only while the instance is primary under
 * a valid lease. One small listener per instance, on the address it had before when that is still free.
 */

import { lookup } from "node:dns/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Endpoint, formatEndpoint, parseEndpoint } from "@understudy/model/endpoint";

export type Gates = {
  /** Resolves to "10.0.0.1:40001". `address`: where it was before; empty: anywhere. */
  open(instance: string, address: string): Promise<string>;
  close(instance: string): void;
  closeAll(): void;
};

/** `host`: name or address of this machine that load balancers reach; they are told its address. */
export function openGates(isOpen: (instance: string) => boolean, host: () => string): Gates {
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
      const at = (await lookup(host())).address;
      const port = await listen(server, { host: at, port: parseEndpoint(address)?.port ?? 0 });
      return formatEndpoint({ host: at, port });
    },
    close,
    closeAll: () => {
      for (const instance of [...servers.keys()]) close(instance);
    },
  };
}

async function listen(server: Server, at: Endpoint): Promise<number> {
  try {
    await listenOn(server, at);
  } catch (error) {
    if (at.port === 0 || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    await listenOn(server, { ...at, port: 0 });
  }
  return (server.address() as AddressInfo).port;
}

function listenOn(server: Server, { host, port }: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
