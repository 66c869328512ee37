/**
 * How the command line reaches a running Understudy: one JSON file, readable by its owner alone, because it names password
 * files and keys. `startCluster` writes one; a deployment's is written by hand or by its installer, in the same form.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";

const serviceNames = z.enum(["collector", "predictor", "balancer", "replicator", "health"]);
const passwordFile = z.string();

export const contextSchema = z.strictObject({
  version: z.literal(1),
  /** Empty for a deployment that no demo or test started. */
  run: z.strictObject({ id: z.string(), folder: z.string() }).optional(),
  nats: z.strictObject({ url: z.string(), user: z.string(), passwordFile }),
  /** For `understudy state recover` alone. */
  redis: z.strictObject({ url: z.string(), passwordFile }).optional(),
  /** Folder with ca.crt, tls.crt and tls.key of the command line. */
  tlsDir: z.string(),
  /** host:port */
  grpc: z.strictObject({
    replicator: z.string(),
    /** Of other hosts: whoever leads a resource knows its status. */
    otherReplicators: z.array(z.string()).default([]),
    health: z.string(),
    balancer: z.string(),
  }),
  /** host:port of /livez, /readyz and /metrics. */
  probes: z.partialRecord(serviceNames, z.string()).default({}),
  /** What third parties use to read the bus. */
  subscriber: z.strictObject({ user: z.string(), passwordFile }).optional(),
});

export type Context = z.infer<typeof contextSchema>;

export function writeContext(file: string, context: z.input<typeof contextSchema>): void {
  writeFileSync(file, `${JSON.stringify(context, null, 2)}\n`, { mode: 0o600 });
}

/** Throws an Error that names the file and what is wrong with it. */
export function readContext(file: string): Context {
  const text = readFileSync(file, "utf8");
  const parsed = contextSchema.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
  throw new Error(`${file} is no context file: ${wrong}`);
}
