/** Ends what a dead owner left behind: its processes, its containers, its folder. Started by the guardian's shell. */

import { rmSync } from "node:fs";
import { endRunContainers } from "./run-containers.ts";
import { endRunProcesses } from "./run-processes.ts";

const GRACE_MS = 2000;

const [runId, folder] = process.argv.slice(2);
if (!runId || !folder) throw new Error("usage: guardian-sweep.ts RUN-ID FOLDER");
await endRunProcesses(runId, { graceMs: GRACE_MS });
endRunContainers({ id: runId, folder });
rmSync(folder, { recursive: true, force: true });
