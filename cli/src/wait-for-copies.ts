/** Shows the copies that are under way until every shadow that stands is in sync: a bar on a terminal, lines or events elsewhere. */

import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { type ResourceStatus, StatusRequestSchema } from "@understudy/wire/gen/control";
import { ReplicationPhase, type ReplicationState } from "@understudy/wire/gen/replication";
import { InstancePhase } from "@understudy/wire/gen/role";
import type { Connection } from "./connect.ts";
import { statusOfAll } from "./leaders.ts";
import { bytesText, durationText } from "./mirror/progress.ts";

const LOOK_EVERY_MS = 250;
const LINE_EVERY_MS = 2_000;
const COLUMNS = 100;

export async function waitForCopies(
  connection: Connection,
  { resource, json }: { resource: string; json: boolean },
): Promise<void> {
  const request = create(StatusRequestSchema, { resource });
  const { stderr } = process;
  const clear = () => stderr.isTTY && stderr.write("\r\x1b[K");
  let [saidAtMs, said] = [Number.NEGATIVE_INFINITY, ""];
  for (;;) {
    const resources = await statusOfAll(connection, request);
    const waiting = resources.flatMap(waitingFor);
    clear();
    if (waiting.length === 0) return;
    const text = waiting.join("; ");
    const due = performance.now() - saidAtMs >= LINE_EVERY_MS;
    // Standard output is for the answer.
    if (stderr.isTTY) stderr.write(text.slice(0, stderr.columns ?? COLUMNS));
    else if (due && text !== said && !json) {
      stderr.write(`${text}\n`);
      [saidAtMs, said] = [performance.now(), text];
    }
    await sleep(LOOK_EVERY_MS);
  }
}

/** One line for each instance that is not where it should be; a resource without a primary waits for one. */
export function waitingFor({ roles, states, inSync }: ResourceStatus): string[] {
  if (!roles) return ["no roles are known yet"];
  const resource = roles.header?.resource ?? "";
  if (roles.primary === "") return [`${resource} has no primary`];
  const shadows = roles.instances.filter(
    ({ name, phase }) => name !== roles.primary && phase !== InstancePhase.DRAINING,
  );
  if (shadows.length === 0) return [`${resource} has no shadow yet`];
  return shadows
    .filter(({ name }) => !inSync.includes(name))
    .map(({ name }) => {
      const state = states.find(({ instance }) => instance === name);
      return `${name}: ${state?.phase === ReplicationPhase.SEEDING ? copyText(state) : "not in sync yet"}`;
    });
}

/** How far a copy is: "43 % of 1.20 GB, 80.0 MB/s, 9 s left". */
export function copyText({ seedDoneBytes, seedTotalBytes, seedRate, seedEtaMs }: ReplicationState): string {
  const total = Number(seedTotalBytes);
  const share = total === 0 ? 0 : Math.min(100, (100 * Number(seedDoneBytes)) / total);
  const rate = seedRate > 0 ? `, ${bytesText(seedRate)}/s` : "";
  const left = seedEtaMs === undefined ? "" : `, ${durationText(seedEtaMs)} left`;
  return `${share.toFixed(0)} % of ${bytesText(total)}${rate}${left}`;
}
