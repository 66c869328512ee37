/**
 * Runs before `npm pack`: Node strips types only outside of node_modules, so what is published is JavaScript with
 * declarations. The package's own exports point at the sources, for the rest of the repository; in the package they point
 * at what was emitted. postpack.ts puts the sources' package.json back.
 */

import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const EMIT = [
  ...["--outDir", "dist", "--rootDir", "src", "--declaration", "--rewriteRelativeImportExtensions"],
  ...["--target", "es2022", "--lib", "es2024,dom", "--module", "nodenext", "--moduleResolution", "nodenext"],
  ...[
    "--strict",
    "--exactOptionalPropertyTypes",
    "--noUncheckedIndexedAccess",
    "--types",
    "",
    "--ignoreConfig",
  ],
];

rmSync("dist", { recursive: true, force: true });
execFileSync("tsc", [...EMIT, "src/forecaster.ts", "src/engine.ts", "src/grid.ts"], { stdio: "inherit" });
copyFileSync("package.json", "package.json.sources");
const { scripts: _, private: __, ...description } = JSON.parse(readFileSync("package.json", "utf8"));
const built = (name: string) => ({ types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` });
const published = { ...description, exports: { ".": built("forecaster"), "./*": built("*") } };
writeFileSync("package.json", `${JSON.stringify(published, null, 2)}\n`);
