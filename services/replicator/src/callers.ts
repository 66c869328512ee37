/**
 * Who may call what, by the name in the caller's certificate. Whoever can promote can take a primary's writes away, so a service
 * gets what it calls and nothing more: a collector that is broken into must not be able to move a primary.
 */

import { GrpcError } from "@understudy/service/grpc";
import { applicationName } from "@understudy/service/tls";
import type { ReplicationControl } from "@understudy/wire/gen/control";

export type Method = keyof typeof ReplicationControl.method;

/** `own application`: the instances of the resource that is asked about. */
type Caller = "cli" | "balancer" | "health" | "own application";

const CALLERS: Readonly<Record<Method, readonly Caller[]>> = {
  mirror: ["cli"],
  unmirror: ["cli"],
  switchover: ["cli"],
  promote: ["cli"],
  recreate: ["cli"],
  scale: ["cli"],
  status: ["cli", "balancer", "health"],
  watch: ["cli", "balancer", "health"],
  barrier: ["own application"],
};

/** Throws GrpcError "permission-denied". */
export function admit(method: Method, { peer, resource }: { peer: string; resource: string }): void {
  const callers = CALLERS[method];
  const names = callers.map((caller) => (caller === "own application" ? applicationName(resource) : caller));
  if (names.includes(peer)) return;
  throw new GrpcError(
    "permission-denied",
    `"${peer}" may not call ${method}: only ${callers.join(", ")} may`,
  );
}
