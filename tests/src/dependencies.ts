/** Each package.json names what its sources import: a package that works only by its neighbours' dependencies breaks alone. */

import { isForTests, packageNameOf, packageOf, readManifest, type Source } from "./sources.ts";

/** Of the root, there for every test. */
const TEST_TOOLS = ["fast-check", "testcontainers"];

export function checkDependencies(sources: readonly Source[]): string[] {
  const byFolder = Map.groupBy(sources, (source) => packageOf(source.path));
  return [...byFolder].flatMap(([folder, own]) => missingFrom(folder, own));
}

function missingFrom(folder: string, sources: readonly Source[]): string[] {
  const { name, dependencies = {}, devDependencies = {} } = readManifest(folder);
  const declared = new Set([name, ...Object.keys(dependencies), ...Object.keys(devDependencies)]);
  const missing = new Map<string, string>();
  for (const source of sources) {
    for (const used of source.imports.map(packageNameOf)) {
      if (used !== undefined && !declared.has(used) && !isTestTool(source, used))
        missing.set(used, source.path);
    }
  }
  return [...missing].map(
    ([used, path]) => `${folder}/package.json does not name "${used}", which ${path} imports`,
  );
}

/** Tests may use any package of the workspace and the root's test tools: none of them is shipped. */
function isTestTool({ path }: Source, name: string): boolean {
  return isForTests(path) && (name.startsWith("@understudy/") || TEST_TOOLS.includes(name));
}
