/** Who may call which method of a gRPC service, by the name in the caller's certificate: each gets what it calls and no more. */

import { GrpcError } from "./grpc-error.ts";
import { applicationName, isReplicator } from "./tls.ts";

/** `own application`: the instances of the resource that is asked about. `replicator`: that of any host. */
export type Caller = "cli" | "balancer" | "health" | "replicator" | "own application";

export type Call = { readonly peer: string; readonly resource: string };

/** Throws GrpcError "permission-denied" for everybody whom the table does not name. */
export function admitBy<Method extends string>(
  table: Readonly<Record<Method, readonly Caller[]>>,
): (method: Method, call: Call) => void {
  return (method, { peer, resource }) => {
    const callers = table[method];
    const names = callers.map((caller) =>
      caller === "own application" ? applicationName(resource) : caller,
    );
    if (names.includes(peer) || (callers.includes("replicator") && isReplicator(peer))) return;
    throw new GrpcError(
      "permission-denied",
      `"${peer}" may not call ${method}: only ${callers.join(", ")} may`,
    );
  };
}
