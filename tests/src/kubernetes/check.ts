/**
 * Every manifest of every kustomization: rendered, against its kind's schema, against our policies; and the files that are rendered
 * from our own code. Ends with "N passed, N failed".
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "../sources.ts";
import { renderKustomization } from "./kustomize.ts";
import { checkPolicies, EXCEPTIONS, type Exception } from "./policies.ts";
import { renderedFiles } from "./rendered.ts";
import { checkSchema } from "./schemas.ts";

export const KUSTOMIZATIONS = [
  "k8s/overlays/dev",
  "k8s/overlays/production",
  "k8s/node-agents",
  "examples/k8s-sidecar/one-pod",
  "examples/k8s-sidecar/gateway",
];

/** Name of a check -> all that is wrong. */
export async function checkAll(): Promise<Map<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  const needed = new Set<Exception>();
  for (const folder of KUSTOMIZATIONS) {
    const manifests = renderKustomization(join(REPOSITORY, folder));
    const wrong = await Promise.all(manifests.map(checkSchema));
    found.set(`${folder}: ${manifests.length} manifests are what their schemas say`, wrong.flat());
    found.set(`${folder}: keeps our policies`, checkPolicies(manifests, needed));
  }
  const stale = EXCEPTIONS.filter((exception) => !needed.has(exception));
  found.set(
    "every exception is needed",
    stale.map(({ owner, rule }) => `${owner}: ${rule}: nothing needs it`),
  );
  found.set("rendered files are up to date", outOfDate());
  return found;
}

function outOfDate(): string[] {
  return Object.entries(renderedFiles())
    .filter(([path, text]) => readFileSync(join(REPOSITORY, path), "utf8") !== text)
    .map(([path]) => `${path}: node tests/src/kubernetes/rendered.ts writes it again`);
}

if (import.meta.main) {
  const found = await checkAll();
  for (const [name, problems] of found) {
    console.log(`${problems.length === 0 ? "ok    " : "FAILED"} ${name}`);
    for (const problem of problems) console.log(`       ${problem}`);
  }
  const failed = [...found.values()].filter((problems) => problems.length > 0).length;
  console.log(`${found.size - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}
