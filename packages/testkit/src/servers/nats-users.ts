/**
 * Who may say what on the bus: one user per service, which publishes on its own subjects only; all may read. Third parties
 * get `subscriber`, which publishes nothing but the JetStream requests that reading takes. Deployments ship the same table.
 */

const SERVICE_SUBJECTS = {
  collector: ["metrics.>"],
  predictor: ["predictions.>"],
  balancer: ["weights.>", "scale.>", "lb.>"],
  replicator: ["replication.>", "roles.>"],
  health: ["health.>"],
} as const;

export type ServiceName = keyof typeof SERVICE_SUBJECTS;
export type NatsUserName = ServiceName | "cli" | "admin" | "subscriber";

export const SERVICE_NAMES = Object.keys(SERVICE_SUBJECTS) as ServiceName[];

export type NatsUser = {
  readonly name: NatsUserName;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
};

const PREFIX = "understudy.v1";

/** What following a stream asks of JetStream: find it, make a consumer of one's own, pull from it, read single messages. */
const READ_STREAM = [
  "$JS.API.INFO",
  "$JS.API.STREAM.NAMES",
  "$JS.API.STREAM.INFO.*",
  "$JS.API.STREAM.MSG.GET.*",
  "$JS.API.DIRECT.GET.>",
  "$JS.API.CONSUMER.CREATE.>",
  "$JS.API.CONSUMER.INFO.>",
  "$JS.API.CONSUMER.MSG.NEXT.>",
  "$JS.ACK.>",
  "$JS.FC.>",
];
/** Ends a consumer at once instead of by its inactivity; not for third parties, who could end one of ours. */
const END_CONSUMER = "$JS.API.CONSUMER.DELETE.>";

const READ = [`${PREFIX}.>`, "_INBOX.>"];

export const NATS_USERS: readonly NatsUser[] = [
  ...SERVICE_NAMES.map((name) => serviceUser(name)),
  { name: "cli", publish: [`${PREFIX}.config`, ...READ_STREAM, END_CONSUMER], subscribe: READ },
  { name: "admin", publish: ["$JS.API.>", "$JS.ACK.>"], subscribe: READ },
  { name: "subscriber", publish: READ_STREAM, subscribe: READ },
];

function serviceUser(name: ServiceName): NatsUser {
  const own = [...SERVICE_SUBJECTS[name], "events.>", `rejects.${name}`];
  return {
    name,
    publish: [...own.map((subject) => `${PREFIX}.${subject}`), ...READ_STREAM, END_CONSUMER],
    subscribe: READ,
  };
}
