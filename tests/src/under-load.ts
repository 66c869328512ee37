/** The demo's stack under a steady load, for tests that break something meanwhile and then look at what clients saw. */

import { committedKeys } from "@understudy/cli/demo/committed";
import { arrivals } from "@understudy/cli/demo/demand";
import { runLoad } from "@understudy/cli/demo/load";
import { nothingObserved, type Observed } from "@understudy/cli/demo/observe";
import { hasFailed, isIdempotent, type LoadResult, type RequestRecord } from "@understudy/cli/demo/records";
import { primaryNow, type Stack, startStack } from "@understudy/cli/demo/stack";

const SEED = 7;
/** Small, so that the load of a test fits beside other tests on two cores. */
export const INSTANCE_RPS = 50;

export type Broken = { readonly stack: Stack; readonly observed: Observed };

export type Outcome = Broken & {
  readonly load: LoadResult;
  /** Idempotent requests that failed. */
  readonly failed: readonly RequestRecord[];
  /** Critical writes that were acknowledged and are not on the final primary. */
  readonly lost: readonly string[];
};

/**
 * Starts the stack, keeps `units` instances' worth of load on it for as long as `breaking` runs and some seconds more,
 * and gives what became of every request. The caller closes the stack.
 */
export async function underLoad(
  { units, lengthMs }: { units: number; lengthMs: number },
  breaking: (broken: Broken) => Promise<void>,
): Promise<Outcome> {
  const observed = nothingObserved();
  const stop = new AbortController();
  const stack = await startStack(
    { policy: "predictive", ratePerUnit: INSTANCE_RPS, seed: SEED },
    { observed, signal: stop.signal, say: () => undefined },
  );
  try {
    const sending = runLoad({
      arrivals: arrivals(() => units, { ratePerUnit: INSTANCE_RPS, lengthMs, seed: SEED }),
      host: "127.0.0.1",
      port: stack.frontendPort,
      keyPrefix: stack.run.id,
      onStart: () => undefined,
      onProgress: () => undefined,
      signal: stop.signal,
    });
    await breaking({ stack, observed });
    const load = await sending;
    const committed = await committedKeys(primaryNow(observed)!.address);
    return {
      stack,
      observed,
      load,
      failed: load.records.filter((record) => hasFailed(record) && isIdempotent(record)),
      lost: load.records
        .filter(({ kind, status, key }) => kind === "order" && status === 201 && !committed.has(key))
        .map(({ key }) => key),
    };
  } catch (error) {
    stop.abort();
    await stack.close();
    throw error;
  }
}

/** For the message of an assertion: the first few of what failed. */
export function describeRecords(records: readonly RequestRecord[]): string {
  const few = records.slice(0, 5).map(({ atMs, kind, status, latencyMs, instance }) => {
    return `${kind} at ${Math.round(atMs)} ms: status ${status} after ${Math.round(latencyMs)} ms from ${instance || "nobody"}`;
  });
  return `${records.length} failed: ${few.join("; ")}`;
}
