/** A small instance for tests: an HTTP server that says its name, and its gate, which says whether it may take writes. */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export type Origin = {
  readonly name: string;
  readonly address: string;
  readonly gateAddress: string;
  setGate(open: boolean): void;
  setHealthy(healthy: boolean): void;
  /** While it hangs, it takes requests and answers none. */
  hang(does: boolean): void;
  /** As a crash would: the ports refuse, connections are reset. */
  kill(): void;
  close(): Promise<void>;
};

export async function startOrigin(name: string, { serviceMs = 0 } = {}): Promise<Origin> {
  const state = { gate: true, healthy: true, hangs: false };
  const app = createServer((request, response) => {
    if (request.url === "/healthz") {
      response.writeHead(state.healthy ? 200 : 503).end();
      return;
    }
    request.resume();
    request.on("end", () => {
      const answer = () => state.hangs || response.writeHead(200, { "x-name": name }).end(name);
      if (serviceMs > 0) setTimeout(answer, serviceMs);
      else answer();
    });
  });
  app.keepAliveTimeout = 60_000;
  const gate = createServer((_, response) => response.writeHead(state.gate ? 200 : 503).end());
  const address = await listen(app);
  const gateAddress = await listen(gate);
  return {
    name,
    address,
    gateAddress,
    setGate: (open) => {
      state.gate = open;
    },
    setHealthy: (healthy) => {
      state.healthy = healthy;
    },
    hang: (does) => {
      state.hangs = does;
    },
    kill: () => {
      app.close();
      app.closeAllConnections();
    },
    close: async () => {
      for (const server of [app, gate]) {
        server.closeAllConnections();
        await new Promise<void>((resolve) => server.close(() => resolve()));
      }
    },
  };
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(`127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}
