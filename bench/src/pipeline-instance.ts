/** The least that can be mirrored and routed to: an HTTP server that answers at once, and one small file of state. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const { role } = JSON.parse(readFileSync(process.env.UNDERSTUDY_ROLE_FILE!, "utf8")) as { role: string };
if (role === "primary") {
  const folder = join(process.env.UNDERSTUDY_STATE_DIR!, "data");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "note"), "bench\n");
}

createServer((_, response) => response.end("ok\n")).listen(Number(process.env.UNDERSTUDY_PORT), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
