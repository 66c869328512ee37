/** Makes a writer stand still and then does nothing, so that a test can kill it: `hold-process.ts '{...}'`. */

import { systemClock } from "@understudy/service/clock";
import { openStill } from "../src/still.ts";

const { dir, workDir, hold, process: leader, address } = JSON.parse(process.argv[2]!);
const still = await openStill({
  dir,
  workDir,
  hold,
  writer: { process: () => leader, target: () => ({ address, env: {} }) },
  bootMs: systemClock.bootMs,
  onError: (error) => process.stderr.write(`${error.message}\n`),
});
await still.begin();
process.stdout.write("held\n");
setInterval(() => undefined, 1000);
