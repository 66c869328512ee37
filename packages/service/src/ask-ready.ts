/**
 * The health check of our containers: asks a page of this machine until it answers 200, then ends with 0; with 1 when it has not
 * by the end of its patience. It waits itself, because engines ask seldom: a container is healthy as soon as it is ready.
 * `node ask-ready.ts [URL]`. No import but node:http: it is started every few seconds in each container.
 */

import { get } from "node:http";

/** Below the check's own time-out, which must not be what ends it. */
const PATIENCE_MS = 8_000;
const ASK_EVERY_MS = 50;
const READY = "http://127.0.0.1:9100/readyz";

const url = process.argv[2] ?? READY;
const untilMs = performance.now() + PATIENCE_MS;

function ask(): void {
  const request = get(url, { timeout: PATIENCE_MS, agent: false }, (response) => {
    response.resume();
    if (response.statusCode === 200) process.exit(0);
    later();
  });
  request.on("timeout", () => request.destroy());
  request.on("error", later);
}

function later(): void {
  if (performance.now() > untilMs) process.exit(1);
  setTimeout(ask, ASK_EVERY_MS);
}

ask();
