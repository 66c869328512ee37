import { SLOTS, trafficDriverContract } from "../src/contract.ts";
import { startPool } from "./pool.ts";

trafficDriverContract("HAProxy", {
  // Three weights of at most 256 are within 0.1 points of any shares (haproxy/weights.test.ts).
  deviations: { setWithinPpm: 1_000, because: "HAProxy's weights are integers up to 256" },
  start: async () => {
    const pool = await startPool({ slots: SLOTS });
    return { open: pool.open, send: pool.send, locate: (name) => pool.origin(name), stop: pool.stop };
  },
});
