/**
 * What neither the compiler nor Biome checks: imports point one way, declared dependencies are those used and locked, and generated
 * code is what the generator writes now. `npm run check`; ends with "N passed, N failed".
 */

import { checkDependencies } from "./dependencies.ts";
import { checkGenerated } from "./generated.ts";
import { checkImports } from "./import-direction.ts";
import { checkLockfile } from "./lockfile.ts";
import { readSources } from "./sources.ts";

type Check = { readonly name: string; readonly run: () => readonly string[] };

const sources = readSources();
const CHECKS: readonly Check[] = [
  { name: "imports point one way", run: () => checkImports(sources) },
  { name: "dependencies are declared where they are used", run: () => checkDependencies(sources) },
  { name: "package-lock.json is whole", run: checkLockfile },
  { name: "generated code is up to date", run: checkGenerated },
];

let failed = 0;
for (const { name, run } of CHECKS) {
  const problems = run();
  console.log(`${problems.length === 0 ? "ok    " : "FAILED"} ${name}`);
  for (const problem of problems) console.log(`       ${problem}`);
  if (problems.length > 0) failed += 1;
}
console.log(`${CHECKS.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
