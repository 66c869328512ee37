/**
 * A shadow's container out of the primary's. Pure: what the engine says of the primary in, the body of a create call out.
 *
 * A shadow is the same image, configuration, limits and networks, but never the same claims on the outside: it publishes
 * no ports, has a folder of its own for the state, everything else it shares with the primary read-only, and no name that
 * the primary has.
 */

import { posix } from "node:path";
import type { ContainerSpec } from "@understudy/model/policy";
import type { ContainerConfig, ContainerInspect, CreateBody, HostConfig, Mount } from "./docker-types.ts";
import { nameOfContainer } from "./docker-types.ts";
import { PIPE, programOf, waitingCommand } from "./docker-wait-command.ts";
import { ResourceError } from "./driver.ts";

/** Labels of the containers that we make. */
export const LABELS = {
  enable: "understudy.enable",
  manager: "understudy.manager",
  resource: "understudy.resource",
  instance: "understudy.instance",
  incarnation: "understudy.incarnation",
} as const;

/** What the engine calls the lack of one. */
export const NO_NETWORK = "none";
export const ROLE_FOLDER = "/run/understudy";
export const ROLE_FILE = "role.json";
/** Compose would take a container with its labels for one of its own, and end it. */
const LABELS_LEFT_OUT = /^(com\.docker\.compose\.|io\.podman\.compose\.|understudy\.)/;

/** Podman's word for whichever it uses. */
const PODMAN_RUNTIME = "oci";

/** Limits and rights, as they are. */
const HOST_KEYS = [
  ...[
    "Memory",
    "MemorySwap",
    "MemoryReservation",
    "NanoCpus",
    "CpuShares",
    "CpuPeriod",
    "CpuQuota",
    "CpusetCpus",
  ],
  ...["CpusetMems", "PidsLimit", "BlkioWeight", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "OomScoreAdj"],
  ...["BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "Ulimits", "CapAdd", "CapDrop", "SecurityOpt", "Init"],
  ...[
    "ShmSize",
    "Sysctls",
    "ExtraHosts",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "GroupAdd",
    "LogConfig",
    "Runtime",
  ],
  ...["UsernsMode", "CgroupParent", "MaskedPaths", "ReadonlyPaths"],
];
const CONFIG_KEYS = [
  ...[
    "Cmd",
    "Entrypoint",
    "WorkingDir",
    "User",
    "StopSignal",
    "StopTimeout",
    "Tty",
    "OpenStdin",
    "Healthcheck",
  ],
  ...["ExposedPorts", "Shell"],
];
/** Where programs expect to write what nobody needs to keep: memory instead of the image's files. */
const SCRATCH = ["/tmp", "/run", "/var/run", "/var/tmp"];

export type ShadowWish = {
  readonly template: ContainerInspect;
  readonly container: ContainerSpec;
  /** Environment that only this instance has. */
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Of its state and of its role order, as the engine's host sees them. */
  readonly stateSource: string;
  readonly roleSource: string;
  readonly stateReadOnly: boolean;
  /** Paths that the primary changed outside its mounts; undefined when the engine cannot tell. */
  readonly changes: readonly string[] | undefined;
  /** On its networks, besides its own. */
  readonly aliases: readonly string[];
  /** The one network it is on, instead of the primary's; empty: those. */
  readonly network: string;
  /** It is made to wait, on no network, for the word that lets its program begin. */
  readonly waits: boolean;
};

export function shadowBody(wish: ShadowWish): { body: CreateBody; networks: readonly string[] } {
  const { template, container, changes } = wish;
  const { Config, HostConfig } = template;
  const root = rootOf(wish);
  const own = wish.network ? [wish.network] : networksOf(template, container.network);
  const [first, ...others] = wish.waits ? [NO_NETWORK] : own;
  const body = {
    ...pick(Config, CONFIG_KEYS),
    ...programOf(Config),
    ...(wish.waits
      ? waitingCommand({ ...Config, ...programOf(Config) }, posix.join(roleTarget(container), PIPE))
      : {}),
    Image: template.Image,
    Env: environment(withoutHostname(Config), wish.env),
    Labels: { ...ownLabels(Config.Labels ?? {}), ...wish.labels },
    HostConfig: {
      ...pick(HostConfig, HOST_KEYS),
      ...asAsked(HostConfig),
      Mounts: mounts(wish),
      Tmpfs: { ...(HostConfig.Tmpfs ?? {}), ...(changes === undefined ? {} : root.tmpfs) },
      ReadonlyRootfs: root.readOnly,
      // We start it again ourselves: two who do would make two primaries.
      RestartPolicy: { Name: "no" },
      NetworkMode: first!,
    },
    ...(wish.waits ? {} : { NetworkingConfig: { EndpointsConfig: { [first!]: { Aliases: wish.aliases } } } }),
  };
  return { body, networks: others };
}

/** The one on which it is reached first. */
export function networksOf({ NetworkSettings }: ContainerInspect, wanted: string): readonly string[] {
  const names = Object.keys(NetworkSettings.Networks ?? {});
  return wanted === "" ? names : [wanted, ...names.filter((name) => name !== wanted)];
}

/** Names that others call it by on this network, without those that the engine made up. */
export function aliasesOf(inspect: ContainerInspect, network: string): readonly string[] {
  const { Aliases } = inspect.NetworkSettings.Networks?.[network] ?? {};
  return (Aliases ?? []).filter((alias) => !inspect.Id.startsWith(alias));
}

/** "172.18.0.5:8080". Throws when it is on no network that leads there. */
export function addressOf(inspect: ContainerInspect, { network, port }: ContainerSpec): string {
  const [name = ""] = networksOf(inspect, network);
  const endpoint = inspect.NetworkSettings.Networks?.[name];
  if (endpoint?.IPAddress) return `${endpoint.IPAddress}:${port}`;
  if (endpoint?.GlobalIPv6Address) return `[${endpoint.GlobalIPv6Address}]:${port}`;
  const known = Object.keys(inspect.NetworkSettings.Networks ?? {}).join(", ") || "none";
  throw new ResourceError(
    "refused",
    `container ${nameOfContainer(inspect)} has no address on ${name ? `network ${name}` : "any network"} (its networks: ${known}): name one of them in container.network`,
  );
}

/** The mount that holds this path, the innermost one. */
export function mountOf(inspect: ContainerInspect, path: string): Mount | undefined {
  return inspect.Mounts.filter(({ Destination }) => isWithin(path, Destination)).sort(
    (a, b) => b.Destination.length - a.Destination.length,
  )[0];
}

export function isWithin(path: string, folder: string): boolean {
  const rest = posix.relative(folder, path);
  return rest === "" || !(rest.startsWith("..") || posix.isAbsolute(rest));
}

function mounts({ template, container, stateSource, roleSource, stateReadOnly }: ShadowWish): unknown[] {
  const own = [
    { Type: "bind", Source: stateSource, Target: container.stateDir, ReadOnly: stateReadOnly },
    { Type: "bind", Source: roleSource, Target: roleTarget(container), ReadOnly: true },
  ];
  const taken = own.map(({ Target }) => Target);
  const shared = template.Mounts.filter(
    ({ Destination, Type }) => Type !== "tmpfs" && !taken.some((target) => isWithin(target, Destination)),
  ).map(({ Type, Name, Source, Destination }) => ({
    Type,
    Source: Type === "volume" ? Name : Source,
    Target: Destination,
    ReadOnly: true,
  }));
  return [...own, ...shared];
}

export function roleTarget({ roleFile }: ContainerSpec): string {
  return roleFile === "" ? ROLE_FOLDER : posix.dirname(roleFile);
}

/** Where the shadow finds its role file. */
export function roleFileInside({ roleFile }: ContainerSpec): string {
  return roleFile === "" ? posix.join(ROLE_FOLDER, ROLE_FILE) : roleFile;
}

/**
 * Read-only where the image allows: the primary has run on it, so what it changed outside its mounts says whether it
 * needs to write there. Scratch folders become memory; any other change keeps the root writable.
 */
function rootOf({ template, changes }: ShadowWish): { readOnly: boolean; tmpfs: Record<string, string> } {
  if (template.HostConfig.ReadonlyRootfs) return { readOnly: true, tmpfs: {} };
  if (changes === undefined) return { readOnly: false, tmpfs: {} };
  const targets = [...template.Mounts.map(({ Destination }) => Destination), ...ENGINE_FILES];
  // A folder is "changed" when something in it is: what leads to a mount or to a change of its own is no news.
  const written = changes.filter(
    (path) =>
      !targets.some((target) => isWithin(target, path)) &&
      !changes.some((other) => other !== path && isWithin(other, path)) &&
      !targets.some((target) => isWithin(path, target)),
  );
  const scratch = SCRATCH.filter((folder) => written.some((path) => isWithin(path, folder)));
  const readOnly = written.every((path) => scratch.some((folder) => isWithin(path, folder)));
  const free = scratch.filter((folder) => !targets.some((target) => isWithin(target, folder)));
  return {
    readOnly: readOnly && free.length === scratch.length,
    tmpfs: readOnly ? Object.fromEntries(free.map((folder) => [folder, ""])) : {},
  };
}

/** The engine itself puts these into every container. */
const ENGINE_FILES = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev", "/proc", "/sys"];

function environment(inherited: readonly string[], own: Readonly<Record<string, string>>): string[] {
  const kept = inherited.filter((entry) => !(entry.split("=", 1)[0]! in own));
  return [...kept, ...Object.entries(own).map(([name, value]) => `${name}=${value}`)];
}

/** Podman puts a container's own name into its environment. */
function withoutHostname({ Env, Hostname }: ContainerConfig): readonly string[] {
  return (Env ?? []).filter((entry) => entry !== `HOSTNAME=${String(Hostname)}`);
}

/** Podman says these in words that it does not take. */
function asAsked({ Ulimits, Runtime }: HostConfig): Record<string, unknown> {
  const limits = (Ulimits ?? []) as readonly { readonly Name: string }[];
  return {
    ...(limits.length > 0
      ? {
          Ulimits: limits.map((limit) => ({
            ...limit,
            Name: limit.Name.replace(/^RLIMIT_/, "").toLowerCase(),
          })),
        }
      : {}),
    ...(Runtime === PODMAN_RUNTIME ? { Runtime: undefined } : {}),
  };
}

function ownLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => !LABELS_LEFT_OUT.test(name)));
}

function pick(from: Readonly<Record<string, unknown>>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    keys.flatMap((key) => (from[key] === undefined || from[key] === null ? [] : [[key, from[key]]])),
  );
}
