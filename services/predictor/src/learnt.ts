/**
 * What was learnt of a resource, as text and back: the forecaster's own snapshot, what its requests are like, and its
 * capacity. Each of the two parts holds only under what it was learnt under.
 */

import { ForecastError } from "@understudy/forecast/error";
import { restoreForecaster } from "@understudy/forecast/forecaster";
import type { ResourceSpec } from "@understudy/model/policy";
import { z } from "zod";
import type { CapacityLearnt } from "./capacity.ts";
import { REGRESSORS } from "./choose-curve.ts";
import { FAMILIES, isIncreasing } from "./curve-shape.ts";
import { type DemandLearnt, forecastOptions } from "./demand.ts";

/** A part is undefined when it was learnt under another policy. */
export type Learnt = { readonly demand?: DemandLearnt; readonly capacity?: CapacityLearnt };

/** JSON has no NaN, which stands for "not measured". */
const measured = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const sum = z.number().min(0);
const curveSchema = z
  .object({
    signal: z.string(),
    family: z.enum(FAMILIES),
    coefficients: z.array(z.number()).max(3),
    from: z.number(),
    to: z.number(),
    regressor: z.enum(REGRESSORS),
    perRequest: z.number().positive(),
    target: measured,
    carriesRps: measured,
    error: z.number().min(0),
    rSquared: z.number(),
    samples: z.number(),
  })
  .refine((curve) => curve.from < curve.to && isIncreasing(curve));

const learntSchema = z.object({
  format: z.literal(1),
  demand: z.object({
    under: z.string(),
    forecaster: z.base64(),
    parts: z.object({ reads: sum, total: sum, bytes: sum, sized: sum }),
  }),
  /** Of an older form when it was learnt under another policy: then it is not read. */
  capacity: z.looseObject({ under: z.string() }),
});

const capacitySchema = z.object({
  samples: z
    .array(
      z.object({
        rps: measured,
        bytesPerSecond: measured,
        signals: z.record(z.string(), measured),
        workers: measured,
      }),
    )
    .max(1_000),
  curves: z.array(curveSchema).max(64),
});

/** Raised when what is kept of a capacity changes its form: an older one then counts as learnt under another policy. */
const CAPACITY_FORM = 2;

type Policy = Pick<ResourceSpec, "forecast" | "capacity">;

export function learntToText({ demand, capacity }: Required<Learnt>, policy: Policy): string {
  const forecaster = Buffer.from(demand.forecaster.snapshot()).toString("base64");
  return JSON.stringify({
    format: 1,
    demand: { under: demandKey(policy), forecaster, parts: demand.parts },
    capacity: { under: capacityKey(policy), ...capacity },
  } satisfies Record<keyof z.input<typeof learntSchema>, unknown>);
}

/** Throws a RangeError that says what is damaged. */
export function learntFromText(text: string, policy: Policy): Learnt {
  const { demand, capacity } = parse(() => learntSchema.parse(JSON.parse(text)));
  return {
    ...(demand.under === demandKey(policy) && { demand: restoreDemand(demand) }),
    ...(capacity.under === capacityKey(policy) && {
      capacity: parse(() => capacitySchema.parse(capacity)),
    }),
  };
}

function restoreDemand({ forecaster, parts }: z.output<typeof learntSchema>["demand"]): DemandLearnt {
  try {
    return { forecaster: restoreForecaster(Buffer.from(forecaster, "base64")), parts };
  } catch (error) {
    if (!(error instanceof ForecastError)) throw error;
    throw new RangeError(error.message, { cause: error });
  }
}

function parse<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    const where = error instanceof z.ZodError ? `: ${error.issues[0]?.path.join(".")}` : "";
    throw new RangeError(`it is not a record of what was learnt${where}`, { cause: error });
  }
}

function demandKey({ forecast }: Policy): string {
  return JSON.stringify(forecastOptions(forecast));
}

function capacityKey({ capacity }: Policy): string {
  return JSON.stringify([CAPACITY_FORM, capacity]);
}
