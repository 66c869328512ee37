/**
 * Status of resources from whoever leads them. Each replicator knows best what it leads itself, and what it once led it tells as it
 * was: of several answers the one under the highest epoch counts. One that is away is no obstacle while another answers.
 */

import type { ResourceStatus, StatusRequest } from "@understudy/wire/gen/control";
import { type Connection, call } from "./connect.ts";

export async function statusOfAll(
  connection: Connection,
  request: StatusRequest,
): Promise<readonly ResourceStatus[]> {
  const answers = await Promise.allSettled(
    connection.replicators().map(async ({ address, client }) => {
      const server = { service: "replicator", address };
      return (await call(server, (options) => client.status(request, options))).resources;
    }),
  );
  const heard = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  const failed = answers.find((answer) => answer.status === "rejected");
  if (heard.length === 0 && failed) throw failed.reason;
  return newest(heard);
}

/** Pure. In the order in which resources are first named. */
export function newest(answers: readonly (readonly ResourceStatus[])[]): readonly ResourceStatus[] {
  const found = new Map<string, ResourceStatus>();
  for (const status of answers.flat()) {
    const name = status.roles?.header?.resource ?? "";
    const known = found.get(name);
    if (!known || epochOf(status) > epochOf(known)) found.set(name, status);
  }
  // One that has heard of no roles yet cannot say whose status it is.
  const named = [...found].filter(([name]) => name !== "");
  return (named.length > 0 ? named : [...found]).map(([, status]) => status);
}

const epochOf = ({ roles }: ResourceStatus) => roles?.epoch ?? 0n;
