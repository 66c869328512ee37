/** The predictor's environment: the common part and which resources are its own. The only reader of process.env. */

import { parseShard, SHARDS_MAX, type Shard, WHOLE } from "@understudy/model/shard";
import {
  type Environment,
  openEnvironment,
  readServiceEnvironment,
  type ServiceEnvironment,
} from "@understudy/service/environment";

export type PredictorConfig = ServiceEnvironment & { readonly shard: Shard };

/** Throws an EnvironmentError with all mistakes. */
export function readConfig(env: Environment): PredictorConfig {
  const reader = openEnvironment(env);
  const common = readServiceEnvironment(reader);
  const text = reader.text("UNDERSTUDY_SHARD", "0/1");
  const shard = parseShard(text);
  if (!shard)
    reader.mistake(
      `UNDERSTUDY_SHARD="${text}" is not INDEX/COUNT, such as 0/2 and 1/2 for two predictors, at most ${SHARDS_MAX}`,
    );
  reader.finish();
  return Object.freeze({ ...common, shard: shard ?? WHOLE });
}
