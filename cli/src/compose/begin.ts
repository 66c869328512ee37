/** Runs once when NATS answers: makes the streams and puts the configuration of the compose cluster in force. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connectJetStream, ensureStreams } from "@understudy/bus/jetstream";
import { applyConfiguration } from "@understudy/service/configuration-apply";
import { formatMistake } from "@understudy/service/configuration-mistakes";
import { PORTS, SECRETS } from "./places.ts";

const FILE = process.argv[2] ?? "understudy.yaml";
const access = (user: string) => ({
  url: `nats://nats:${PORTS.nats}`,
  user,
  password: readFileSync(join(SECRETS, `nats-${user}`), "utf8"),
});

await ensureStreams(access("admin"));
const bus = await connectJetStream({ ...access("cli"), name: "begin" });
const outcome = await applyConfiguration(bus, {
  yaml: readFileSync(FILE, "utf8"),
  file: FILE,
  source: "compose",
  nowMs: Date.now(),
});
await bus.close();
if (outcome.applied) process.stdout.write(`${FILE} is in force as revision ${outcome.revision}\n`);
else {
  for (const mistake of outcome.mistakes) process.stderr.write(`${formatMistake(mistake)}\n`);
  process.exitCode = 1;
}
