/**
 * A third party that listens: prints predictions, weights and events, one JSON line per message, until it is stopped.
 *
 *   NATS_URL=... NATS_USER=subscriber NATS_PASSWORD_FILE=... node examples/subscriber/src/main.ts [SUBJECT...]
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { readSchema } from "./schema.ts";

const SUBJECTS = ["understudy.v1.predictions.*", "understudy.v1.weights.*", "understudy.v1.events.*"];

const { NATS_URL, NATS_USER, NATS_PASSWORD_FILE } = process.env;
if (!NATS_URL || !NATS_USER || !NATS_PASSWORD_FILE) {
  process.stderr.write("subscriber: set NATS_URL, NATS_USER and NATS_PASSWORD_FILE\n");
  process.exit(2);
}
const schema = readSchema(join(import.meta.dirname, "../understudy.binpb"));
const connection = await connect({
  servers: NATS_URL,
  user: NATS_USER,
  pass: readFileSync(NATS_PASSWORD_FILE, "utf8").trim(),
  name: "subscriber",
  maxReconnectAttempts: -1,
});
for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => void connection.drain());
// Whoever reads our output has read enough.
process.stdout.once("error", () => process.exit());

const wanted = process.argv.length > 2 ? process.argv.slice(2) : SUBJECTS;
const subscriptions = wanted.map(async (subject) => {
  for await (const { subject: from, data } of connection.subscribe(subject)) {
    process.stdout.write(`${JSON.stringify({ subject: from, ...schema.decode(from, data) })}\n`);
  }
});
await connection.flush();
process.stderr.write(`subscriber: listening to ${wanted.join(", ")}\n`);
await Promise.all(subscriptions);
