/**
 * The least that can be mirrored and routed to: a real HTTP server that answers at once, and one small file of state. It is
 * an HAProxy, not a Node program: a hundred of those took a core for their health checks alone, on the machine on which the
 * services are measured; elsewhere instances do not share a processor with them.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Run } from "@understudy/testkit/run";
import { findProgram } from "@understudy/testkit/servers/program";

const SERVER = `global
  nbthread 1
  maxconn 256
defaults
  mode http
  timeout client 60s
  timeout http-keep-alive 60s
  timeout connect 1s
  timeout server 1s
  no log
frontend instance
  bind 127.0.0.1:"\${UNDERSTUDY_PORT}"
  http-request return status 200 content-type text/plain string ok
`;

/** A primary has to make its state; a shadow finds it. */
const START = `if grep -q '"primary"' "$UNDERSTUDY_ROLE_FILE"; then
  mkdir -p "$UNDERSTUDY_STATE_DIR/data"
  echo bench >"$UNDERSTUDY_STATE_DIR/data/note"
fi
exec "$0" -db -q -f "$1"
`;

/** How the resources of the bench are run. Throws when HAProxy is only to be had in a container. */
export async function instanceRun(owner: Run): Promise<{
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}> {
  const program = await findProgram("haproxy");
  if (program.how === "docker") throw new Error("the bench needs haproxy as a program: install it first");
  const config = join(owner.folder, "instance.cfg");
  writeFileSync(config, SERVER);
  return { command: ["/bin/sh", "-c", START, program.file, config], env: program.env };
}
