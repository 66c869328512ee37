/** Who may call what here: traffic is moved by hand, and by nobody else. */

import { admitBy } from "@understudy/service/callers";
import type { TrafficControl } from "@understudy/wire/gen/control";

export type Method = keyof typeof TrafficControl.method;

export const admit = admitBy<Method>({
  apply: ["cli"],
  pause: ["cli"],
  resume: ["cli"],
  explain: ["cli"],
});
