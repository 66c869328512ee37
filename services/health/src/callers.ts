/** Who may call what here: verdicts for those who act on them, and who may ask health not to believe its eyes. */

import { admitBy } from "@understudy/service/callers";
import type { HealthControl } from "@understudy/wire/gen/control";

export type Method = keyof typeof HealthControl.method;

export const admit = admitBy<Method>({
  watch: ["cli", "balancer", "replicator"],
  announce: ["cli", "replicator"],
});
