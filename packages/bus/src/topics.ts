/** Every subject, its message and its stream, in one table: the public interface of the pipeline. */

import type { DescMessage } from "@bufbuild/protobuf";
import { ConfigSchema, EventSchema, RejectSchema } from "@understudy/wire/gen/event";
import { VerdictSchema } from "@understudy/wire/gen/health";
import { LbAppliedSchema, LbCommandSchema } from "@understudy/wire/gen/lb";
import { MetricBatchSchema } from "@understudy/wire/gen/metrics";
import { PredictionSchema } from "@understudy/wire/gen/prediction";
import { ReplicationStateSchema } from "@understudy/wire/gen/replication";
import { RoleChangedSchema } from "@understudy/wire/gen/role";
import { ScaleDecisionSchema, WeightDecisionSchema } from "@understudy/wire/gen/weight";

export const SUBJECT_PREFIX = "understudy.v1";

export type Topic<S extends DescMessage = DescMessage> = {
  readonly schema: S;
  /** Subject with one "*" for each name, for example "understudy.v1.health.*.*". */
  readonly filter: string;
};

function topic<S extends DescMessage>(schema: S, path: string): Topic<S> {
  return { schema, filter: `${SUBJECT_PREFIX}.${path}` };
}

export const TOPICS = {
  metrics: topic(MetricBatchSchema, "metrics.*"),
  predictions: topic(PredictionSchema, "predictions.*"),
  health: topic(VerdictSchema, "health.*.*"),
  replication: topic(ReplicationStateSchema, "replication.*.*"),
  roles: topic(RoleChangedSchema, "roles.*"),
  scale: topic(ScaleDecisionSchema, "scale.*"),
  weights: topic(WeightDecisionSchema, "weights.*"),
  lbCommands: topic(LbCommandSchema, "lb.*.commands"),
  lbApplied: topic(LbAppliedSchema, "lb.*.applied"),
  events: topic(EventSchema, "events.*"),
  rejects: topic(RejectSchema, "rejects.*"),
  config: topic(ConfigSchema, "config"),
} as const;

/** The subject of one message: `subjectOf(TOPICS.health, "catalog", "catalog-1")`. Throws on a wrong number of names. */
export function subjectOf(topicOf: Topic, ...names: string[]): string {
  const left = [...names];
  const subject = topicOf.filter.replace(/\*/g, () => {
    const name = left.shift();
    if (!name || /[.*>\s]/.test(name)) throw new RangeError(`bad name "${name}" for ${topicOf.filter}`);
    return name;
  });
  if (left.length > 0) throw new RangeError(`too many names for ${topicOf.filter}`);
  return subject;
}

const MIB = 1024 * 1024;
/** Of what is said again at least every second, only the present counts; a minute is for people who look back. */
const FLEETING_MS = 60_000;

/**
 * JetStream's streams; `maxAgeMs` 0: no age; `lastPerSubject` 0: no bound but the age and the bytes. METRICS is on file too:
 * a memory stream loses its definition with the server, and no service has the right to make one (docs/adr/0002). What is
 * said often has an age and no bound per subject, which NATS keeps by rewriting its files while everybody waits
 * (docs/adr/0010).
 */
export const STREAMS = [
  { name: "METRICS", subjects: ["metrics.*"], maxAgeMs: FLEETING_MS, lastPerSubject: 0, maxBytes: 256 * MIB },
  {
    name: "PIPELINE",
    subjects: ["predictions.*", "health.*.*", "replication.*.*", "weights.*", "lb.*.applied"],
    maxAgeMs: FLEETING_MS,
    lastPerSubject: 0,
    maxBytes: 256 * MIB,
  },
  {
    name: "STANDING",
    subjects: ["config", "roles.*", "scale.*"],
    maxAgeMs: 0,
    lastPerSubject: 16,
    maxBytes: 64 * MIB,
  },
  { name: "COMMANDS", subjects: ["lb.*.commands"], maxAgeMs: 0, lastPerSubject: 1, maxBytes: 16 * MIB },
  {
    name: "EVENTS",
    subjects: ["events.*", "rejects.*"],
    maxAgeMs: 30 * 24 * 3600 * 1000,
    lastPerSubject: 0,
    maxBytes: 512 * MIB,
  },
] as const satisfies readonly StreamSpec[];

export type StreamSpec = {
  readonly name: string;
  /** Below SUBJECT_PREFIX. */
  readonly subjects: readonly string[];
  readonly maxAgeMs: number;
  readonly lastPerSubject: number;
  readonly maxBytes: number;
};

/** The stream that keeps what matches a filter or subject of ours. Throws a RangeError for any other. */
export function streamOf(filter: string): string {
  const words = filter.slice(SUBJECT_PREFIX.length + 1).split(".");
  const covers = (pattern: string) => {
    const own = pattern.split(".");
    return own.length === words.length && own.every((word, index) => word === "*" || word === words[index]);
  };
  const stream = STREAMS.find(({ subjects }) => subjects.some(covers));
  if (!filter.startsWith(`${SUBJECT_PREFIX}.`) || !stream) throw new RangeError(`no stream keeps ${filter}`);
  return stream.name;
}
