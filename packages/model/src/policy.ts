/** What a user writes in understudy.yaml, after validation and with defaults filled in: the policies cores decide by. */

import type { BindingSignal, LimitedSignal } from "./metric-names.ts";

export type Mode = "observe" | "advise" | "act";

/** How a consistent view of the state is captured; see docs/mirror.md. */
export type Consistency = "sqlite" | "hook" | "freeze" | "none";

/** How an application that reads files comes to see a new version of them. */
export type OnVersion = "restart" | "signal" | "http" | "reopens";

/** Something asked of a running application: a program without a shell, or where that is empty a POST to this path of it. */
export type AppCall = { readonly command: readonly string[]; readonly http: string };

export const RELOAD_SIGNALS = ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
export type ReloadSignal = (typeof RELOAD_SIGNALS)[number];

/** How the writer is made to stand still for a look at its files. It goes on after `timeoutMs` whatever happens. */
export type HoldSpec =
  | {
      readonly kind: "hook";
      readonly quiesce: AppCall;
      readonly thaw: AppCall;
      /** For each of the two calls. */
      readonly callMs: number;
      readonly timeoutMs: number;
    }
  | {
      readonly kind: "freeze";
      /** Largest share of the time that the pauses may take, 0..1. */
      readonly budget: number;
      readonly timeoutMs: number;
    };

/** What an instance does with the news that it is the primary. */
export type OnPromote = "role-file" | "SIGHUP" | "SIGUSR1" | "SIGUSR2" | "restart";

/** A container that runs already becomes the primary as it is; shadows are made from it. */
export type ContainerSpec = {
  /** Name or id of the running container. */
  readonly name: string;
  /** Where it listens inside. */
  readonly port: number;
  /** Folder inside that holds `state.paths`: a volume or a bind mount. */
  readonly stateDir: string;
  /** Network on which it is reached; empty: its first one. */
  readonly network: string;
  /** File inside, on a mount, in which it reads its role; empty: it reads none. */
  readonly roleFile: string;
  /** By a restart its state is mounted read-only before and read-write after; otherwise it is read-write all the time. */
  readonly onPromote: OnPromote;
  /** Whether a promoted shadow takes the old primary's names on its networks, which costs its open connections. */
  readonly takeNames: boolean;
  /** Whether its memory is to be kept as well; "criu" is refused with the reason. */
  readonly checkpoint: "none" | "criu";
};

/** How mirror data uses a link. */
export type LinkRules = {
  /** Megabits per second; undefined: no limit. */
  readonly limitMbit?: number | undefined;
  /** Differentiated services code point, 0..63. */
  readonly dscp?: number | undefined;
  /** Other limits at times of the day, "HH:MM" of the sending host; the first that holds counts. */
  readonly schedule: readonly { readonly from: string; readonly to: string; readonly limitMbit: number }[];
};

export type ResourceSpec = {
  readonly name: string;
  /** Where its very first primary is made; undefined: the first of `hosts`. */
  readonly host?: string | undefined;
  readonly kind: "process" | "container";
  readonly driver: "process" | "docker" | "memory";
  /** Of driver docker. */
  readonly container?: ContainerSpec | undefined;
  readonly run: {
    /** Program and arguments; started without a shell. Empty for a container, whose image says it. */
    readonly command: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    /** How long an instance may take from start to its first good answer. */
    readonly readyWithinMs: number;
  };
  readonly state: {
    /** Files (sqlite) or folders, relative to the instance's state folder. */
    readonly paths: readonly string[];
    readonly consistency: Consistency;
    readonly hook: {
      readonly quiesce: AppCall;
      readonly thaw: AppCall;
      /** For each of the two calls. */
      readonly callMs: number;
      /** The application is thawed after so long, whatever happens. */
      readonly timeoutMs: number;
    };
    readonly freeze: {
      /** Largest share of the time that the writer is made to stand still, 0..1. */
      readonly budget: number;
      /** It goes on after so long, whatever happens. */
      readonly timeoutMs: number;
    };
    /** Of a state of files. Undefined: the shadows' application sees none, and they take no reads. */
    readonly onVersion?: OnVersion | undefined;
    readonly reload: { readonly signal: ReloadSignal; readonly http: string };
    /** Path of the application that answers the version it shows; empty: versions count once they are applied. */
    readonly visible: { readonly http: string; readonly timeoutMs: number };
    /** How often changes that nobody waits for are sealed. */
    readonly tickMs: number;
    /** A critical write with no in-sync shadow: fail by the deadline (default), or let it pass and say so. */
    readonly critical: "in-sync" | "best-effort";
    /** Globs of files whose changes are sealed at once instead of at the next tick. */
    readonly criticalPaths?: readonly string[];
  };
  readonly capacity: {
    /** Signals to fit; the first one that reaches its target binds. */
    readonly signals: readonly BindingSignal[];
    /** How far a signal of one instance can go; one without a limit is fitted, and never binds. */
    readonly limits: Readonly<Partial<Record<LimitedSignal, number>>>;
    /** Share of a signal's limit to aim at, 0..1. */
    readonly target: number;
    /** First guess for one instance until the curves are fitted, requests per second. */
    readonly initialRps: number;
  };
  readonly routing: {
    readonly pool: string;
    readonly reads: readonly string[];
    /** 0..1 */
    readonly maxShadowShare: number;
    readonly maxStalenessMs: number;
    readonly onlyStale: "refuse" | "serve";
  };
  readonly shadows: {
    readonly min: number;
    readonly max: number;
    /** Hosts that keep them, spread evenly; empty: where the primary is. */
    readonly hosts: readonly string[];
    /** How long a new shadow needs to full speed after it is ready. */
    readonly warmUpMs: number;
    /** First guess of the time from request to ready; then the measured P90 is used. */
    readonly createMs: number;
    /** A shadow is kept at least this long after it was last needed. */
    readonly holdMs: number;
  };
  readonly health: {
    /** Path that answers 200 when the instance works; empty: none. */
    readonly http: string;
    readonly tcp: boolean;
    /** Program that exits 0 when the instance works; empty: none. */
    readonly exec: readonly string[];
    readonly intervalMs: number;
    readonly timeoutMs: number;
    readonly rise: number;
    readonly fall: number;
  };
  readonly metrics: {
    /** Path of the instance's Prometheus endpoint; empty: none. */
    readonly path: string;
    /** Our column name -> the application's own metric name. */
    readonly map: Readonly<Record<string, string>>;
  };
  readonly forecast: {
    /** Predictive (default); reactive, static and none exist for comparison, see docs/policies.md. */
    readonly policy: "predictive" | "reactive" | "static" | "none";
    readonly stepMs: number;
    readonly quantile: number;
    /** How far ahead: at least the lead time of a scale-out. */
    readonly horizonMs: number;
    /** Of the reactive opponent: busy share that scales out, and how long it holds. */
    readonly reactiveTarget: number;
    readonly reactiveHoldMs: number;
  };
  readonly lease: { readonly durationMs: number };
  /** For what this resource sends, to all hosts together. */
  readonly link?: LinkRules | undefined;
  readonly mode: Mode;
};

/** Where a state of a database says nothing of files. */
export const NO_FILES = {
  hook: { quiesce: { command: [], http: "" }, thaw: { command: [], http: "" }, callMs: 500, timeoutMs: 1000 },
  freeze: { budget: 0.01, timeoutMs: 800 },
  reload: { signal: "SIGHUP", http: "/reload" },
  visible: { http: "", timeoutMs: 5000 },
} as const satisfies Partial<ResourceSpec["state"]>;

export type PoolSpec = {
  readonly name: string;
  readonly driver: "haproxy" | "memory";
  /** HAProxy: path of the runtime API socket (level admin). */
  readonly socket: string;
  /** Names of the backends that the pool's plan sets. */
  readonly backends: { readonly reads: string; readonly writes: string };
  /** Servers prepared in each backend, named s1..sN. */
  readonly slots: number;
  /** Where clients reach it, for people: "127.0.0.1:8080". */
  readonly frontend: string;
};

export type HostSpec = {
  readonly name: string;
  /** gRPC of its replicator. */
  readonly control: string;
  /** Where its replicator takes mirror data; the dedicated link where there is one. */
  readonly data: string;
  /** IP address at which its instances and gates listen and are reached; undefined: loopback. */
  readonly address?: string | undefined;
  /** For what each other host sends here, all resources together. */
  readonly link?: LinkRules | undefined;
};

export type Configuration = {
  readonly resources: readonly ResourceSpec[];
  readonly pools: readonly PoolSpec[];
  readonly hosts: readonly HostSpec[];
};
