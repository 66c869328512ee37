/** The predictor over the bus in memory. */

import { memoryBus } from "@understudy/bus/memory";
import { predictorSuite } from "./suite.ts";

predictorSuite(async () => {
  const bus = memoryBus();
  return {
    predictor: bus,
    collector: bus,
    cli: bus,
    observer: bus,
    interrupt: async () => {
      bus.setConnected(false);
      bus.setConnected(true);
    },
    close: () => bus.close(),
  };
});
