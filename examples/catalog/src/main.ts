/** Starts the catalogue service and ends it in order on SIGTERM or SIGINT. */

import { readConfig } from "./config.ts";
import { startCatalog } from "./server.ts";

const stop = new AbortController();
for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => stop.abort());

try {
  const server = await startCatalog(readConfig(process.env), stop.signal);
  await new Promise<void>((resolve) => {
    if (stop.signal.aborted) resolve();
    stop.signal.addEventListener("abort", () => resolve());
  });
  await server.close();
} catch (error) {
  if (!stop.signal.aborted) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
process.exit();
