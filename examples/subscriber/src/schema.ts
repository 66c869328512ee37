/**
 * The message types, read at run time from a descriptor set that `buf build` made of `proto/`: nothing of Understudy's
 * own code is needed to understand its messages, in this language or any other.
 */

import { readFileSync } from "node:fs";
import { createFileRegistry, type DescMessage, fromBinary, type JsonValue, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const PREFIX = "understudy.v1.";

/** First word of a subject after the prefix -> message on it; see docs/subscribe.md. */
const MESSAGE_BY_SUBJECT: Readonly<Record<string, string>> = {
  metrics: "MetricBatch",
  predictions: "Prediction",
  health: "Verdict",
  replication: "ReplicationState",
  roles: "RoleChanged",
  scale: "ScaleDecision",
  weights: "WeightDecision",
  events: "Event",
  rejects: "Reject",
  config: "Config",
};

export type Decoded =
  | { readonly known: true; readonly type: string; readonly message: JsonValue }
  | { readonly known: false; readonly why: string };

export type Schema = { decode(subject: string, data: Uint8Array): Decoded };

export function readSchema(descriptorSetFile: string): Schema {
  const set = fromBinary(FileDescriptorSetSchema, readFileSync(descriptorSetFile));
  const registry = createFileRegistry(set);
  return {
    decode(subject, data) {
      const name = messageOn(subject);
      const schema: DescMessage | undefined =
        name === undefined ? undefined : registry.getMessage(PREFIX + name);
      if (!schema) return { known: false, why: `no message is known for ${subject}` };
      try {
        const message = toJson(schema, fromBinary(schema, data), { alwaysEmitImplicit: true });
        return { known: true, type: schema.name, message };
      } catch (error) {
        return { known: false, why: `not a ${schema.name}: ${(error as Error).message}` };
      }
    },
  };
}

function messageOn(subject: string): string | undefined {
  if (!subject.startsWith(PREFIX)) return undefined;
  const [kind = "", , last] = subject.slice(PREFIX.length).split(".");
  if (kind === "lb") return last === "commands" ? "LbCommand" : last === "applied" ? "LbApplied" : undefined;
  return MESSAGE_BY_SUBJECT[kind];
}
