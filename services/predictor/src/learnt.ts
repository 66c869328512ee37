/**
 * What was learnt of a resource, as text and back: the forecaster's own snapshot, what its requests are like, and the
 * samples its capacity is fitted to. It holds only under the policy it was learnt under.
 */

import { ForecastError } from "@understudy/forecast/error";
import { restoreForecaster } from "@understudy/forecast/forecaster";
import type { ResourceSpec } from "@understudy/model/policy";
import { z } from "zod";
import type { LoadSample } from "./capacity.ts";
import type { DemandLearnt } from "./demand.ts";

export type Learnt = { readonly demand: DemandLearnt; readonly samples: readonly LoadSample[] };

/** JSON has no NaN, which stands for "not measured". */
const measured = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const sum = z.number().min(0);

const learntSchema = z.object({
  format: z.literal(1),
  policy: z.string(),
  forecaster: z.base64(),
  parts: z.object({ reads: sum, total: sum, bytes: sum, sized: sum }),
  samples: z
    .array(z.object({ rps: measured, signals: z.record(z.string(), measured), workers: measured }))
    .max(1_000),
});

type Policy = Pick<ResourceSpec, "name" | "forecast" | "capacity">;

export function learntToText({ demand, samples }: Learnt, policy: Policy): string {
  return JSON.stringify({
    format: 1,
    policy: policyOf(policy),
    forecaster: Buffer.from(demand.forecaster.snapshot()).toString("base64"),
    parts: demand.parts,
    samples,
  } satisfies Record<keyof z.input<typeof learntSchema>, unknown>);
}

/** Throws a RangeError that says why it cannot be used: it is damaged, or was learnt under another policy. */
export function learntFromText(text: string, policy: Policy): Learnt {
  const { forecaster, parts, samples, ...kept } = parse(text);
  if (kept.policy !== policyOf(policy)) throw new RangeError("it was learnt under another policy");
  try {
    return { demand: { forecaster: restoreForecaster(Buffer.from(forecaster, "base64")), parts }, samples };
  } catch (error) {
    if (!(error instanceof ForecastError)) throw error;
    throw new RangeError(error.message, { cause: error });
  }
}

function parse(text: string): z.output<typeof learntSchema> {
  try {
    return learntSchema.parse(JSON.parse(text));
  } catch (error) {
    const where = error instanceof z.ZodError ? `: ${error.issues[0]?.path.join(".")}` : "";
    throw new RangeError(`it is not a record of what was learnt${where}`, { cause: error });
  }
}

function policyOf({ name, forecast, capacity }: Policy): string {
  return JSON.stringify([name, forecast, capacity]);
}
