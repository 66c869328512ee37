/** Who waits for which version to be on whose disk. */

import type { Version } from "@understudy/model/position";
import type { ShadowProgress } from "./engine.ts";

type Wait = {
  readonly version: Version;
  readonly instances: readonly string[];
  readonly settle: (done: boolean) => void;
};

export interface DurabilityWaits {
  /** Resolves true once `check` sees the version durable on all of them, false when the signal aborts first. */
  add(wait: { version: Version; instances: readonly string[]; signal: AbortSignal }): Promise<boolean>;
  check(shadows: readonly ShadowProgress[]): void;
}

export function durabilityWaits(): DurabilityWaits {
  const waits = new Set<Wait>();
  return {
    add({ version, instances, signal }) {
      return new Promise((resolve) => {
        const abort = () => settle(false);
        const settle = (done: boolean) => {
          waits.delete(wait);
          signal.removeEventListener("abort", abort);
          resolve(done);
        };
        const wait: Wait = { version, instances, settle };
        waits.add(wait);
        if (signal.aborted) settle(false);
        else signal.addEventListener("abort", abort);
      });
    },
    check(shadows) {
      if (waits.size === 0) return;
      const durable = new Map(shadows.map((shadow) => [shadow.instance, shadow.durable.version]));
      for (const wait of waits) {
        if (wait.instances.every((instance) => (durable.get(instance) ?? -1) >= wait.version))
          wait.settle(true);
      }
    },
  };
}
