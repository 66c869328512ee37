/**
 * Telemetry for a service that has more urgent things to do at its start: its libraries are loaded piece by piece from the bottom
 * up, with a turn of the event loop between, so that nothing waits for all of them.
 */

import { pause } from "@understudy/model/pause";
import type { Telemetry } from "./telemetry.ts";

const PIECES = [
  () => import("@opentelemetry/core"),
  () => import("@opentelemetry/resources"),
  () => import("@opentelemetry/sdk-metrics"),
  () => import("@opentelemetry/sdk-trace"),
];

type Options = Parameters<typeof import("./telemetry.ts").startTelemetry>[0];

export async function loadTelemetry(options: Options, signal: AbortSignal): Promise<Telemetry> {
  for (const load of PIECES) {
    await load();
    await pause(0, signal);
  }
  const { startTelemetry } = await import("./telemetry.ts");
  return startTelemetry(options);
}
