/** Runs after `npm pack`: puts back the package.json that prepack.ts has set aside. */

import { renameSync } from "node:fs";

renameSync("package.json.sources", "package.json");
