/** The TypeScript sources of the repository with what each one imports, for checks over all of them. */

import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

export const REPOSITORY = resolve(import.meta.dirname, "../..");

export type Source = {
  /** From the repository's root, "packages/model/src/share.ts". */
  readonly path: string;
  readonly imports: readonly string[];
};

const ROOTS = ["packages", "drivers", "services", "cli", "console", "examples", "bench", "tests"];
/** Imports and re-exports at the start of a line, and dynamic imports anywhere. */
const IMPORT = /^(?:import\s*"|(?:import|export)\b[^"'`;]*?\bfrom\s*"|.*?\bimport\("\s*)([^"\n]+)"/gm;

export function readSources(): Source[] {
  const files = globSync(
    ROOTS.map((root) => join(REPOSITORY, root, "**/*.ts")),
    {
      exclude: (name) => name.endsWith("node_modules") || name.endsWith("/gen"),
    },
  );
  return files
    .sort()
    .map((file) => ({ path: relative(REPOSITORY, file), imports: importsOf(readFileSync(file, "utf8")) }));
}

export function importsOf(text: string): string[] {
  return [...text.matchAll(IMPORT)].map((match) => match[1]!);
}

/** The folder with the package.json that a source belongs to: "packages/model", "cli". */
export function packageOf(path: string): string {
  const [first = "", second = ""] = path.split("/");
  return ["cli", "console", "bench", "tests"].includes(first) ? first : `${first}/${second}`;
}

/** Tests and what only they use: contract suites, and *.testing.ts for makers of test data. */
export function isForTests(path: string): boolean {
  return /\.(test|testing)\.ts$/.test(path) || path.includes("/test/") || path.endsWith("/contract.ts");
}

/** Where a relative import leads, from the repository's root; undefined for a package. */
export function relativeTarget(source: Source, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return join(dirname(source.path), specifier);
}

/** "@understudy/model/share" -> "@understudy/model"; "node:fs" -> undefined. */
export function packageNameOf(specifier: string): string | undefined {
  if (specifier.startsWith(".") || specifier.startsWith("node:")) return undefined;
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0];
}

export type Manifest = {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
};

export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(REPOSITORY, folder, "package.json"), "utf8")) as Manifest;
}
