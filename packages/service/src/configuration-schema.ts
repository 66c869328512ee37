/**
 * The form of understudy.yaml: every field with its bounds, its default and one sentence for people. The JSON schema for
 * editors and the table in docs/configuration.md come from here. What one field alone cannot tell is in configuration-checks.ts.
 */

import { APPLICATION_COLUMNS, BINDING_SIGNALS, type LimitedSignal } from "@understudy/model/metric-names";
import { isLabel } from "@understudy/model/names";
import { RELOAD_SIGNALS } from "@understudy/model/policy";
import { z } from "zod";

const MS_MAX = 24 * 3600 * 1000;
const RESOURCES_MAX = 1000;
const SHADOWS_MAX = 100;
const SLOTS_MAX = 128;
/** What fits into sun_path. */
const SOCKET_MAX = 107;

const label = z.string().refine(isLabel, "must be a DNS label: a-z, 0-9 and -, 1 to 63 characters");
const endpoint = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}$/, "must be host:port");
const words = z.array(z.string().min(1)).max(256);
const httpPath = z.string().regex(/^(\/[\w./?=&-]*)?$/, "must be a path that starts with /, or empty");
const share = z.number().min(0).max(1);
const ms = (least: number) => z.int().min(least).max(MS_MAX);
const relativePath = z
  .string()
  .min(1)
  .refine((path) => !path.startsWith("/") && !path.split("/").includes(".."), "must be relative, without ..");

const run = z.strictObject({
  command: words
    .min(1)
    .default(() => [])
    .describe("Program and arguments; started without a shell. Needed by the process driver."),
  env: z
    .record(z.string().regex(/^[A-Za-z_]\w*$/), z.string())
    .default({})
    .describe("Environment of the program."),
  readyWithinMs: ms(100)
    .default(15_000)
    .describe("How long an instance may take from start to its first good answer."),
});

const absolutePath = z
  .string()
  .refine(
    (path) => path.startsWith("/") && path !== "/" && !path.split("/").includes(".."),
    "must be absolute, without .., and not the root",
  );

const container = z.strictObject({
  name: z
    .string()
    .regex(/^[a-zA-Z0-9][\w.-]*$/, "must be the name of a container")
    .describe("The running container that becomes the primary as it is; shadows are made from it."),
  port: z.int().min(1).max(65_535).describe("Where it listens inside."),
  stateDir: absolutePath.describe("Folder inside that holds state.paths: a volume or a bind mount."),
  network: z.string().default("").describe("Network on which it is reached; empty: its first one."),
  roleFile: z
    .union([z.literal(""), absolutePath])
    .default("")
    .describe("File inside, on a mount of its own, in which it reads its role; empty: it reads none."),
  onPromote: z
    .enum(["role-file", "SIGHUP", "SIGUSR1", "SIGUSR2", "restart"])
    .default("restart")
    .describe(
      "How a shadow hears that it is the primary: it looks at its role file, gets a signal as well, or is restarted once. Only with restart its state is mounted read-only until then (never for sqlite).",
    ),
  takeNames: z
    .boolean()
    .default(false)
    .describe(
      "Whether a promoted shadow takes the old primary's names on its networks; without a restart this cuts its open connections.",
    ),
  checkpoint: z
    .enum(["none", "criu"])
    .default("none")
    .describe(
      "Whether its memory is kept as well. criu is refused when the container is adopted, with the reason.",
    ),
});

const appCall = (what: string) =>
  z
    .strictObject({
      command: words.default([]).describe("Program and arguments, started without a shell."),
      http: httpPath.default("").describe("Path of the instance that is sent a POST."),
    })
    .prefault({})
    .describe(what);

const hook = z.strictObject({
  quiesce: appCall("Makes the application bring its files into a consistent state and write no more."),
  thaw: appCall("Lets it write again; asked for more than once when in doubt."),
  callMs: ms(10).default(500).describe("How long each of the two may take."),
  timeoutMs: ms(10).max(10_000).default(1000).describe("It is thawed after so long, whatever happens."),
});

const freeze = z.strictObject({
  budget: z
    .number()
    .gt(0)
    .max(0.5)
    .default(0.01)
    .describe("Largest share of the time that the writer stands still; sets the interval."),
  timeoutMs: ms(10).max(900).default(800).describe("It goes on after so long, whatever happens."),
});

const reload = z.strictObject({
  signal: z.enum(RELOAD_SIGNALS).default("SIGHUP").describe("Sent with onVersion signal."),
  http: httpPath.default("/reload").describe("Path that is sent a POST with onVersion http."),
});

const visible = z.strictObject({
  http: httpPath
    .default("")
    .describe("Path that answers what the application reads in .understudy-version; empty: not measured."),
  timeoutMs: ms(10)
    .default(5000)
    .describe("A version that is not answered by then is reported and tried again."),
});

const state = z.strictObject({
  paths: z
    .array(relativePath)
    .min(1)
    .max(64)
    .describe("Files (sqlite) or folders, relative to the instance's state folder."),
  consistency: z
    .enum(["sqlite", "hook", "freeze", "none"])
    .describe("How a consistent view of the state is captured; what each promises is in docs/mirror.md."),
  hook: hook.prefault({}).describe("With consistency hook: the application's own quiesce and thaw."),
  freeze: freeze.prefault({}).describe("With consistency freeze: how much it may stand still."),
  onVersion: z
    .enum(["restart", "signal", "http", "reopens"])
    .optional()
    .describe(
      "How the application on a shadow comes to see a new version of files. Required unless sqlite, or routing.maxShadowShare is 0.",
    ),
  reload: reload.prefault({}).describe("What onVersion signal and http send."),
  visible: visible.prefault({}).describe("Where lag is measured through the application."),
  tickMs: ms(10).default(100).describe("How often changes that nobody waits for are sealed."),
  critical: z
    .enum(["in-sync", "best-effort"])
    .default("in-sync")
    .describe(
      "A critical write without an in-sync shadow: fails by its deadline, or passes and is reported.",
    ),
  criticalPaths: z
    .array(z.string().min(1).max(256))
    .max(64)
    .default([])
    .describe("Globs of files whose changes are sealed at once instead of at the next tick."),
});

const limits = z.strictObject({
  cpuCores: z.number().gt(0).default(1).describe("Processors one instance can use; 1: a single thread."),
  memoryBytes: z.number().gt(0).optional().describe("Memory one instance may use."),
  networkReceiveBytesPerSecond: z.number().gt(0).optional().describe("What its link carries toward it."),
  networkTransmitBytesPerSecond: z.number().gt(0).optional().describe("What its link carries from it."),
} satisfies Record<LimitedSignal, z.ZodType>);

const capacity = z.strictObject({
  signals: z
    .array(z.enum(BINDING_SIGNALS))
    .min(1)
    .default(["cpuCores"])
    .describe(
      "Signals to fit; the first one that reaches its target binds. The limit of busyWorkers is what the instance reports, of the others what `limits` says; one without a limit is fitted and never binds.",
    ),
  limits: limits.prefault({}).describe("How far a signal of one instance can go."),
  target: z.number().gt(0).max(1).default(0.7).describe("Share of a signal's limit to aim at."),
  initialRps: z
    .number()
    .gt(0)
    .default(100)
    .describe("First guess for one instance until its curve is fitted, requests per second."),
});

const routing = z.strictObject({
  pool: label.describe("Name of the pool whose load balancer serves this resource."),
  reads: z
    .array(z.string().regex(/^[A-Z]+$/, "must be an HTTP method in capitals"))
    .min(1)
    .default(["GET", "HEAD"])
    .describe("Methods that a shadow may answer."),
  maxShadowShare: share.default(0.8).describe("Largest share of the reads that shadows take."),
  maxStalenessMs: ms(1).default(2000).describe("A shadow that lags more takes no reads."),
  onlyStale: z
    .enum(["refuse", "serve"])
    .default("refuse")
    .describe("What happens to reads when only stale instances are left."),
});

const shadows = z.strictObject({
  min: z.int().min(0).max(SHADOWS_MAX).default(1).describe("Shadows that always stand."),
  max: z.int().min(0).max(SHADOWS_MAX).default(3).describe("Most shadows at any time."),
  hosts: z
    .array(label)
    .max(SHADOWS_MAX)
    .default([])
    .describe("Hosts that keep shadows, spread evenly, and may lead; none: where the primary is."),
  warmUpMs: ms(0).default(0).describe("How long a new shadow needs to full speed after it is ready."),
  createMs: ms(0)
    .default(2000)
    .describe("First guess of the time from request to ready; then the measured P90 is used."),
  holdMs: ms(0).default(15_000).describe("A shadow is kept at least this long after it was last needed."),
});

const health = z.strictObject({
  http: httpPath
    .default("/healthz")
    .describe("Path that answers 200 when the instance works; empty: no HTTP probe."),
  tcp: z.boolean().default(false).describe("Whether to probe by connecting."),
  exec: words.default([]).describe("Program that exits 0 when the instance works; empty: none."),
  intervalMs: ms(10).default(100).describe("Time between two probes."),
  timeoutMs: ms(10)
    .default(500)
    .describe("A probe without an answer by then counts as late, which is no evidence of death."),
  rise: z.int().min(1).max(100).default(2).describe("Good probes in a row that make it up."),
  fall: z.int().min(1).max(100).default(3).describe("Bad probes in a row that make it down."),
});

const metrics = z.strictObject({
  path: httpPath.default("").describe("Path of the instance's Prometheus endpoint; empty: none."),
  map: z
    .partialRecord(z.enum(APPLICATION_COLUMNS), z.string().min(1))
    .default({})
    .describe("Our column -> the application's own metric name."),
});

const forecast = z.strictObject({
  policy: z
    .enum(["predictive", "reactive", "static", "none"])
    .default("predictive")
    .describe("The others exist for comparison."),
  stepMs: ms(50).default(500).describe("Step of the forecast's grid."),
  quantile: z.number().gt(0.5).lt(1).default(0.95).describe("Quantile of the demand to be ready for."),
  horizonMs: ms(100).default(10_000).describe("How far ahead: at least createMs + warmUpMs."),
  reactiveTarget: z
    .number()
    .gt(0)
    .max(1)
    .default(0.7)
    .describe("Reactive policy: busy share that scales out."),
  reactiveHoldMs: ms(0).default(15_000).describe("Reactive policy: how long it holds a shadow."),
});

const lease = z.strictObject({
  durationMs: ms(500)
    .default(3000)
    .describe("Right of a primary to take writes; its holder stops itself at half of it."),
});

const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "must be a time of day, HH:MM");
const limitMbit = z.number().min(0.1).max(1_000_000);

const link = z.strictObject({
  limitMbit: limitMbit.optional().describe("Most megabits per second; none: no limit."),
  dscp: z.int().min(0).max(63).optional().describe("Differentiated services code point of the packets."),
  schedule: z
    .array(
      z.strictObject({
        from: timeOfDay.describe("Start, in the sending host's own time."),
        to: timeOfDay.describe("End; before the start: the next day."),
        limitMbit: limitMbit.describe("The limit meanwhile."),
      }),
    )
    .max(32)
    .default([])
    .describe("Other limits at times of the day; the first that holds counts."),
});

const resource = z.strictObject({
  name: label.describe("Name of the resource."),
  host: label
    .optional()
    .describe("Host on which its very first primary is made; default: the first of `hosts`."),
  kind: z.enum(["process", "container"]).default("process").describe("What an instance is."),
  driver: z
    .enum(["process", "docker", "memory"])
    .default("process")
    .describe("Resource driver that starts its instances."),
  container: container.optional().describe("Of driver docker: the container to protect."),
  run: run.prefault({}).describe("How an instance is started."),
  state: state.describe("What of it is mirrored, and how."),
  capacity: capacity.prefault({}).describe("How much one instance carries; learned while it runs."),
  routing: routing.describe("Which requests may move, and how far."),
  shadows: shadows.prefault({}).describe("How many shadows there may be, and what they cost in time."),
  health: health.prefault({}).describe("How it is probed."),
  metrics: metrics.prefault({}).describe("What the application itself measures."),
  forecast: forecast.prefault({}).describe("How demand is forecast."),
  lease: lease.prefault({}).describe("How long a primary may act on its own."),
  link: link.optional().describe("How its mirror data uses links to other hosts, all of them together."),
  mode: z
    .enum(["observe", "advise", "act"])
    .default("act")
    .describe("Watch only, decide without acting, or act."),
});

const backends = z.strictObject({
  reads: z
    .string()
    .regex(/^[\w.-]+$/)
    .default("reads")
    .describe("Backend that serves reads."),
  writes: z
    .string()
    .regex(/^[\w.-]+$/)
    .default("writes")
    .describe("Backend that serves writes."),
});

const pool = z.strictObject({
  name: label.describe("Name of the pool."),
  driver: z.enum(["haproxy", "memory"]).default("haproxy").describe("Traffic driver."),
  socket: z
    .string()
    .max(SOCKET_MAX)
    .regex(/^(tls:\/\/(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}|(?!tls:).*)$/, "must be a path or tls://host:port")
    .default("")
    .describe("HAProxy: path of the runtime API socket (level admin), or tls://host:port across a network."),
  backends: backends.prefault({}).describe("Names of the backends that the plan sets."),
  slots: z.int().min(1).max(SLOTS_MAX).default(8).describe("Servers prepared in each backend, named s1..sN."),
  frontend: z
    .union([endpoint, z.literal("")])
    .default("")
    .describe("Where clients reach it, host:port."),
});

const host = z.strictObject({
  name: label.describe("Name of the host."),
  control: endpoint.describe("gRPC of its replicator, host:port."),
  data: endpoint.describe("Where its replicator takes mirror data; the dedicated link where there is one."),
  address: z
    .union([z.ipv4(), z.ipv6()])
    .optional()
    .describe("IP address at which its instances and gates listen and are reached; default: loopback."),
  link: link.optional().describe("How each other host sends mirror data here, all resources together."),
});

export const configurationSchema = z.strictObject({
  resources: z.array(resource).max(RESOURCES_MAX).default([]).describe("The running things to protect."),
  pools: z.array(pool).max(RESOURCES_MAX).default([]).describe("Load balancers and what they balance over."),
  hosts: z
    .array(host)
    .max(RESOURCES_MAX)
    .default([])
    .describe("Machines that keep instances; none: this one."),
});
