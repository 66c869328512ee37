/** Who may call what here. Whoever can promote can take a primary's writes away: a collector that is broken into must not. */

import { admitBy } from "@understudy/service/callers";
import type { ReplicationControl } from "@understudy/wire/gen/control";

export type Method = keyof typeof ReplicationControl.method;

export const admit = admitBy<Method>({
  mirror: ["cli"],
  unmirror: ["cli"],
  switchover: ["cli"],
  promote: ["cli"],
  recreate: ["cli"],
  scale: ["cli"],
  status: ["cli", "balancer", "health"],
  watch: ["cli", "balancer", "health"],
  barrier: ["own application"],
});
