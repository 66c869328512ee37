/** `docker run` of the example service over a state folder of its own, for benches: what a user would type, as arguments. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { ContainerCluster } from "./container-cluster.ts";

const INSIDE = { state: "/state", role: "/run/understudy", tls: "/etc/understudy/tls" } as const;
const PORT = 8080;

export type CatalogRun = {
  readonly args: readonly string[];
  /** What makes it a resource, without `understudy.enable`. */
  readonly labels: readonly string[];
  /** On this machine. */
  readonly stateDir: string;
  readonly port: number;
  readonly roleFile: string;
  readonly stateInside: string;
};

/** Its service times are left out: a bench measures us, and not how long an example pretends to work. */
export async function catalogRun(
  { cluster }: Pick<ContainerCluster, "cluster">,
  { resource, folder }: { readonly resource: string; readonly folder: string },
): Promise<CatalogRun> {
  const [stateDir, roleDir] = [join(folder, "state"), join(folder, "role")];
  for (const made of [folder, stateDir, roleDir]) mkdirSync(made, { mode: 0o700 });
  const tlsDir = await cluster.tlsDir(`app-${resource}`);
  const roleFile = `${INSIDE.role}/role.json`;
  const env = {
    UNDERSTUDY_RESOURCE: resource,
    UNDERSTUDY_INSTANCE: `${resource}-1`,
    UNDERSTUDY_STATE_DIR: INSIDE.state,
    UNDERSTUDY_PORT: String(PORT),
    UNDERSTUDY_ROLE_FILE: roleFile,
    UNDERSTUDY_TLS_DIR: INSIDE.tls,
    UNDERSTUDY_ADDRESS: "0.0.0.0",
    UNDERSTUDY_REPLICATOR_GRPC: cluster.grpc.replicator,
    CATALOG_SERVICE_MS: "0",
    CATALOG_START_MS: "0",
    CATALOG_WARM_UP_MS: "0",
  };
  return {
    args: [
      ...["--user", `${process.getuid!()}:${process.getgid!()}`, "--read-only", "--tmpfs", "/tmp"],
      ...["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--no-healthcheck"],
      ...["--volume", `${stateDir}:${INSIDE.state}`, "--volume", `${roleDir}:${INSIDE.role}:ro`],
      ...["--volume", `${tlsDir}:${INSIDE.tls}:ro`],
      ...Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
    ],
    labels: [
      `understudy.state=${INSIDE.state}/catalog.db`,
      "understudy.consistency=sqlite",
      `understudy.port=${PORT}`,
      `understudy.role-file=${roleFile}`,
      "understudy.on-promote=role-file",
    ],
    stateDir,
    port: PORT,
    roleFile,
    stateInside: INSIDE.state,
  };
}
