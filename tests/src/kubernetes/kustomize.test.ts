import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { findOnPath } from "@understudy/testkit/servers/program";
import { parseAllDocuments } from "yaml";
import { REPOSITORY } from "../sources.ts";
import { KUSTOMIZATIONS } from "./check.ts";
import { renderKustomization } from "./kustomize.ts";
import type { Manifest } from "./manifest.ts";

const KUBECTL = findOnPath("kubectl");
const NO_KUBECTL = KUBECTL ? false : "there is no kubectl here to compare with";

for (const folder of KUSTOMIZATIONS)
  test(`${folder} is rendered as kubectl kustomize does`, { skip: NO_KUBECTL }, () => {
    const text = execFileSync(KUBECTL!, ["kustomize", join(REPOSITORY, folder)], { encoding: "utf8" });
    // Kubernetes reads YAML 1.1.
    const theirs = parseAllDocuments(text, { version: "1.1" }).map((document) => document.toJS() as Manifest);
    assert.deepEqual(byName(renderKustomization(join(REPOSITORY, folder))), byName(theirs));
  });

function byName(manifests: readonly Manifest[]): Record<string, Manifest> {
  return Object.fromEntries(
    manifests.map((each) => [`${each.kind} ${each.metadata.name} ${each.metadata.namespace}`, each]),
  );
}

function withFiles<T>(files: Readonly<Record<string, string>>, use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "understudy-kustomize-"));
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(folder, name, ".."), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";
const MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a, namespace: n }\ndata: { x: y }\n";

const REFUSED: readonly [why: string, files: Record<string, string>, message: RegExp][] = [
  [
    "a field it cannot render",
    { "kustomization.yaml": `${HEAD}namePrefix: x-\n` },
    /cannot render namePrefix/,
  ],
  [
    "a kustomization of another version",
    { "kustomization.yaml": "apiVersion: v1\nkind: Kustomization\n" },
    /is no Kustomization/,
  ],
  ["a file that is not there", { "kustomization.yaml": `${HEAD}resources: [a.yaml]\n` }, /not there/],
  [
    "the same object twice",
    { "kustomization.yaml": `${HEAD}resources: [a.yaml, b.yaml]\n`, "a.yaml": MAP, "b.yaml": MAP },
    /there twice/,
  ],
  [
    "a key twice",
    { "kustomization.yaml": `${HEAD}resources: [a.yaml]\n`, "a.yaml": `${MAP}data: {}\n` },
    /unique/,
  ],
  [
    "a patch of nothing",
    {
      "kustomization.yaml": `${HEAD}patches: [{ path: p.yaml, target: { kind: Job, name: x } }]\n`,
      "p.yaml": "[]\n",
    },
    /no Job x to patch/,
  ],
  [
    "a strategic merge",
    {
      "kustomization.yaml": `${HEAD}resources: [a.yaml]\npatches: [{ path: p.yaml, target: { kind: ConfigMap, name: a } }]\n`,
      "a.yaml": MAP,
      "p.yaml": "data: { x: z }\n",
    },
    /only JSON patches/,
  ],
  [
    "a replacement of what is not there",
    {
      "kustomization.yaml": `${HEAD}resources: [a.yaml]\npatches: [{ path: p.yaml, target: { kind: ConfigMap, name: a } }]\n`,
      "a.yaml": MAP,
      "p.yaml": "- { op: replace, path: /data/z, value: q }\n",
    },
    /nothing there/,
  ],
];

for (const [why, files, message] of REFUSED)
  test(`${why} is refused`, () =>
    withFiles(files, (folder) => assert.throws(() => renderKustomization(folder), message)));
