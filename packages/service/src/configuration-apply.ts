/** Puts an understudy.yaml in force: checked here first, then one message on the bus, with the next revision. */

import { create, fromBinary } from "@bufbuild/protobuf";
import type { Bus } from "@understudy/bus/bus";
import { publishMessage } from "@understudy/bus/messages";
import { subjectOf, TOPICS } from "@understudy/bus/topics";
import { ConfigSchema } from "@understudy/wire/gen/event";
import { headerToWire } from "@understudy/wire/header";
import { type ParsedConfiguration, parseConfiguration } from "./configuration.ts";

export type Application =
  | { readonly applied: true; readonly revision: number }
  | { readonly applied: false; readonly mistakes: (ParsedConfiguration & { ok: false })["mistakes"] };

/** A configuration with a mistake changes nothing. Throws BusError when the bus does not take it. */
export async function applyConfiguration(
  bus: Bus,
  { yaml, file, source, nowMs }: { yaml: string; file: string; source: string; nowMs: number },
): Promise<Application> {
  const parsed = parseConfiguration(yaml, file);
  if (!parsed.ok) return { applied: false, mistakes: parsed.mistakes };
  const revision = (await lastRevision(bus)) + 1;
  const header = headerToWire({ time: { wallMs: nowMs, counter: 0 }, source });
  const message = create(ConfigSchema, { header, revision: BigInt(revision), yaml });
  await publishMessage(bus, TOPICS.config, { names: [], message });
  return { applied: true, revision };
}

/** 0: nothing was ever applied. */
async function lastRevision(bus: Bus): Promise<number> {
  const last = await bus.last(subjectOf(TOPICS.config));
  return last ? Number(fromBinary(ConfigSchema, last.data).revision) : 0;
}
