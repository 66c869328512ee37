/** The small HTTP server of each service: /livez, /readyz and /metrics. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Endpoint } from "@understudy/model/endpoint";
import type { Telemetry } from "./telemetry.ts";

export type Probes = { readonly port: number; close(): Promise<void> };

/** `ready` says why not, or nothing when it is. Telemetry may come later than the server. */
export async function serveProbes(options: {
  readonly listen: Endpoint;
  readonly telemetry: Telemetry | Promise<Telemetry>;
  readonly ready: () => string | undefined;
}): Promise<Probes> {
  let telemetry: Telemetry | undefined;
  void Promise.resolve(options.telemetry).then(
    (loaded) => {
      telemetry = loaded;
    },
    // Whoever loads it fails with the service.
    () => undefined,
  );
  const server = createServer((request, response) => {
    const answer = (status: number, text: string) => response.writeHead(status).end(`${text}\n`);
    if (request.url === "/metrics") {
      return telemetry ? telemetry.serveMetrics(request, response) : answer(503, "nothing is measured yet");
    }
    if (request.url === "/livez") return answer(200, "alive");
    if (request.url !== "/readyz") return answer(404, "no such page: /livez, /readyz, /metrics");
    const missing = options.ready();
    return missing === undefined ? answer(200, "ready") : answer(503, missing);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.listen.port, options.listen.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
