/**
 * Data flows one way: model <- other packages <- drivers <- services, cli, console. Services meet on the bus and in proto/,
 * never by import. The testkit is for whoever starts real servers: cli, bench, tests, and test files.
 */

import { isForTests, packageNameOf, packageOf, relativeTarget, type Source } from "./sources.ts";

const DRIVERS = ["traffic", "resource"];
const SERVICES = ["collector", "predictor", "balancer", "replicator", "health"];
const PROGRAMS = ["cli", "console", "bench", "tests"];
const TESTKIT_USERS = ["cli", "bench", "tests", "packages/testkit"];

/** Lower ones may not import higher ones. */
const LAYERS = ["model", "package", "driver", "service", "program"] as const;
type Layer = (typeof LAYERS)[number];

export function checkImports(sources: readonly Source[]): string[] {
  return sources.flatMap((source) =>
    source.imports.flatMap((specifier) => {
      const why = refusal(source, specifier);
      return why ? [`${source.path}: "${specifier}": ${why}`] : [];
    }),
  );
}

/** Why this import may not be, or nothing. */
function refusal(source: Source, specifier: string): string | undefined {
  const target = relativeTarget(source, specifier);
  if (target !== undefined) {
    const stays = packageOf(target) === packageOf(source.path);
    return stays ? undefined : "another package is imported by its name, not by a path";
  }
  const name = packageNameOf(specifier);
  if (!name?.startsWith("@understudy/")) return undefined;
  const imported = name.slice("@understudy/".length);
  if (packageOf(source.path).split("/").at(-1) === imported) return undefined;
  if (imported !== "testkit") return refuseLayer(source, imported);
  return mayUseTestkit(source) ? undefined : "only cli, bench, tests and test files use the testkit";
}

function mayUseTestkit({ path }: Source): boolean {
  return isForTests(path) || TESTKIT_USERS.includes(packageOf(path));
}

function refuseLayer(source: Source, imported: string): string | undefined {
  const from = layerOfFolder(packageOf(source.path));
  const to = layerOfName(imported);
  if (from === "service" && to === "service") return "services never import each other: they meet on the bus";
  if (from === "driver" && to === "driver") return "drivers do not import each other";
  if (LAYERS.indexOf(to) > LAYERS.indexOf(from)) return `a ${from} may not import a ${to}`;
  return undefined;
}

function layerOfFolder(folder: string): Layer {
  const [first, second = ""] = folder.split("/");
  if (first === "packages") return second === "model" ? "model" : "package";
  if (first === "drivers") return "driver";
  return first === "services" ? "service" : "program";
}

function layerOfName(name: string): Layer {
  if (DRIVERS.includes(name)) return "driver";
  if (SERVICES.includes(name)) return "service";
  if (PROGRAMS.includes(name) || name.startsWith("example-")) return "program";
  return name === "model" ? "model" : "package";
}
