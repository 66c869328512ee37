/**
 * The shortest way in: a few labels on a running container -> the resource that understudy.yaml would name. Pure. Only the
 * label `understudy.enable=true` is needed where the container has one exposed port and one volume.
 */

import { posix } from "node:path";
import { LABELS } from "./docker-spec.ts";
import { type ContainerInspect, nameOfContainer } from "./docker-types.ts";
import { ResourceError } from "./driver.ts";

const PREFIX = "understudy.";
const KNOWN = [
  ...["enable", "name", "state", "consistency", "reads", "port", "pool", "network", "health"],
  ...["role-file", "on-promote", "on-version"],
];
const NAME_MAX = 60;

/** What stands under `resources` in understudy.yaml; its own checks say what is wrong with values. */
export type LabelledResource = Readonly<Record<string, unknown>> & { readonly name: string };

export function isLabelled({ Config }: Pick<ContainerInspect, "Config">): boolean {
  return Config.Labels?.[LABELS.enable] === "true";
}

/**
 * `pools`: names of those that there are; the only one needs no label. `isFile`: whether a path inside the container
 * is a file, which makes its folder the state and the file what is mirrored of it. Throws one sentence about what is missing.
 */
export function resourceOfLabels(
  inspect: ContainerInspect,
  { pools, isFile }: { readonly pools: readonly string[]; readonly isFile: (path: string) => boolean },
): LabelledResource {
  const container = nameOfContainer(inspect);
  const label = (name: string): string | undefined => inspect.Config.Labels?.[PREFIX + name];
  refuseUnknown(inspect, container);
  const state = label("state") ?? onlyVolume(inspect, container);
  const file = isFile(state);
  const consistency = label("consistency") ?? "none";
  if (consistency === "sqlite" && !file) {
    throw missing(
      container,
      "state",
      `consistency sqlite needs the database's file, such as ${PREFIX}state=${posix.join(state, "app.db")}`,
    );
  }
  return {
    name: label("name") ?? asName(container),
    kind: "container",
    driver: "docker",
    container: {
      name: container,
      port: Number(label("port") ?? onlyPort(inspect, container)),
      stateDir: file ? posix.dirname(state) : state,
      ...given("network", label("network")),
      ...given("roleFile", label("role-file")),
      ...given("onPromote", label("on-promote")),
    },
    state: {
      paths: [file ? posix.basename(state) : "."],
      consistency,
      ...given("onVersion", label("on-version")),
    },
    routing: {
      pool: label("pool") ?? onlyPool(pools, container),
      ...given("reads", label("reads")?.split(",")),
      // Files of which nobody says how the program comes to see them anew: mirrored, but nothing is read from a shadow.
      ...(consistency !== "sqlite" && label("on-version") === undefined ? { maxShadowShare: 0 } : {}),
    },
    health: label("health") === undefined ? { http: "", tcp: true } : { http: label("health") },
  };
}

/** A label with a slip of the pen would be a setting that silently does nothing. */
function refuseUnknown({ Config }: ContainerInspect, container: string): void {
  const names = Object.keys(Config.Labels ?? {}).filter((name) => name.startsWith(PREFIX));
  const unknown = names.find((name) => !KNOWN.includes(name.slice(PREFIX.length)));
  if (unknown === undefined) return;
  const known = KNOWN.map((name) => PREFIX + name).join(", ");
  throw new ResourceError(
    "refused",
    `container ${container}: no label is named ${unknown}; there are ${known}`,
  );
}

function onlyVolume({ Mounts }: ContainerInspect, container: string): string {
  const writable = Mounts.filter(({ RW, Type }) => RW && (Type === "volume" || Type === "bind"));
  if (writable.length === 1) return writable[0]!.Destination;
  const found = writable.map(({ Destination }) => Destination).join(", ") || "none";
  throw missing(container, "state", `it has no single writable volume (${found})`);
}

function onlyPort({ Config }: ContainerInspect, container: string): string {
  const ports = Object.keys(Config.ExposedPorts ?? {}).filter((port) => port.endsWith("/tcp"));
  if (ports.length === 1) return ports[0]!.split("/")[0]!;
  throw missing(container, "port", `it exposes no single port (${ports.join(", ") || "none"})`);
}

function onlyPool(pools: readonly string[], container: string): string {
  if (pools.length === 1) return pools[0]!;
  throw missing(container, "pool", `there is no single pool (${pools.join(", ") || "none"})`);
}

function missing(container: string, label: string, why: string): ResourceError {
  return new ResourceError("refused", `container ${container} needs the label ${PREFIX}${label}: ${why}`);
}

/** A DNS label out of any container's name. */
export function asName(container: string): string {
  const text = container.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return text.slice(0, NAME_MAX).replace(/^-+|-+$/g, "") || "container";
}

function given(key: string, value: unknown): Record<string, unknown> {
  return value === undefined ? {} : { [key]: value };
}
