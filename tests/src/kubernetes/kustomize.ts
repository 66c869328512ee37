/**
 * Renders our kustomizations where there is no kubectl: the part of kustomize that k8s/ uses, and not a field more. What it
 * does not know it refuses, so that it can never show less than `kubectl kustomize` would apply; where there is a kubectl,
 * kustomize.test.ts holds it to that.
 */

import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { applyJsonPatch } from "./json-patch.ts";
import { type Json, type JsonObject, type Manifest, nameOf } from "./manifest.ts";

const DEPTH_MAX = 8;
const FILE = "kustomization.yaml";
const KINDS: Readonly<Record<string, string>> = {
  Kustomization: "kustomize.config.k8s.io/v1beta1",
  Component: "kustomize.config.k8s.io/v1alpha1",
};
const KNOWN = ["apiVersion", "kind", "resources", "components", "configMapGenerator", "patches", "images"];
const HASH_CHARACTERS = 10;

type Generator = {
  readonly name: string;
  readonly namespace?: string;
  readonly behavior?: "create" | "merge";
  readonly files?: readonly string[];
  readonly envs?: readonly string[];
  readonly literals?: readonly string[];
};
type Patch = { readonly path: string; readonly target: { readonly kind: string; readonly name: string } };
type Image = {
  readonly name: string;
  readonly newName?: string;
  readonly newTag?: string;
  readonly digest?: string;
};

/** Objects on their way up; a generated ConfigMap gets the hash of its content at the very end. */
type Gathered = { readonly objects: Manifest[]; readonly generated: Set<string> };

/** The objects that `kubectl apply -k folder` would send. Throws an Error that names the file and what it cannot do. */
export function renderKustomization(folder: string): Manifest[] {
  const gathered: Gathered = { objects: [], generated: new Set() };
  gather(resolve(folder), gathered, "Kustomization", 0);
  return withHashes(gathered);
}

function gather(folder: string, into: Gathered, kind: string, depth: number): void {
  const file = join(folder, FILE);
  if (depth > DEPTH_MAX) throw new Error(`${file}: more than ${DEPTH_MAX} levels`);
  const own = parse(readFileSync(file, "utf8")) as JsonObject;
  const unknown = Object.keys(own).filter((key) => !KNOWN.includes(key));
  if (unknown.length > 0) throw new Error(`${file}: cannot render ${unknown.join(", ")}`);
  if (own.kind !== kind || own.apiVersion !== KINDS[kind])
    throw new Error(`${file}: is no ${kind} of ${KINDS[kind]}`);
  for (const resource of listOf<string>(own.resources)) addResource(join(folder, resource), into, depth);
  for (const generator of listOf<Generator>(own.configMapGenerator)) generate(folder, generator, into);
  // After the generators, as kustomize does it: what a component brings cannot be merged into from outside.
  for (const component of listOf<string>(own.components))
    gather(join(folder, component), into, "Component", depth + 1);
  for (const patch of listOf<Patch>(own.patches)) patchObjects(folder, patch, into);
  for (const image of listOf<Image>(own.images)) setImages(into.objects, image);
}

function listOf<T>(value: Json | undefined): readonly T[] {
  return (value ?? []) as unknown as readonly T[];
}

function addResource(path: string, into: Gathered, depth: number): void {
  if (!existsSync(path)) throw new Error(`${path}: is named and not there`);
  if (statSync(path).isDirectory()) gather(path, into, "Kustomization", depth + 1);
  else readObjects(path, into);
}

function readObjects(path: string, into: Gathered): void {
  for (const document of parseAllDocuments(readFileSync(path, "utf8"), { uniqueKeys: true })) {
    if (document.errors.length > 0) throw new Error(`${path}: ${document.errors[0]!.message}`);
    if (document.contents !== null) add(document.toJS() as Manifest, into, path);
  }
}

function add(object: Manifest, { objects }: Gathered, where: string): void {
  if (objects.some((other) => isSame(other, object)))
    throw new Error(`${where}: ${nameOf(object)} is there twice`);
  objects.push(object);
}

function isSame(a: Manifest, b: Manifest): boolean {
  return nameOf(a) === nameOf(b) && a.metadata.namespace === b.metadata.namespace;
}

function generate(folder: string, generator: Generator, into: Gathered): void {
  const { name, namespace, behavior = "create", files, envs, literals, ...rest } = generator;
  if (Object.keys(rest).length > 0)
    throw new Error(`${folder}: configMapGenerator: cannot render ${Object.keys(rest).join(", ")}`);
  const data: Record<string, string> = {
    ...Object.fromEntries((files ?? []).map((file) => fileEntry(folder, file))),
    ...Object.fromEntries((envs ?? []).flatMap((file) => linesOf(folder, file)).map(pairOf)),
    ...Object.fromEntries((literals ?? []).map(pairOf)),
  };
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
  const made: Manifest = { apiVersion: "v1", kind: "ConfigMap", metadata, data };
  into.generated.add(name);
  if (behavior === "create") {
    add(made, into, folder);
    return;
  }
  const before = into.objects.find((other) => isSame(other, made));
  if (!before) throw new Error(`${folder}: there is no ConfigMap ${name} to merge into`);
  before.data = { ...(before.data as JsonObject), ...data };
}

/** "name=path" or a path, whose last part is the key then. */
function fileEntry(folder: string, text: string): [string, string] {
  const [first = "", second] = text.split("=");
  const path = second ?? first;
  return [second === undefined ? basename(path) : first, readFileSync(join(folder, path), "utf8")];
}

function linesOf(folder: string, file: string): string[] {
  const lines = readFileSync(join(folder, file), "utf8").split("\n");
  return lines.map((line) => line.trimStart()).filter((line) => line !== "" && !line.startsWith("#"));
}

function pairOf(line: string): [string, string] {
  const at = line.indexOf("=");
  if (at < 1) throw new Error(`"${line}" is not NAME=value`);
  return [line.slice(0, at), line.slice(at + 1)];
}

function patchObjects(folder: string, { path, target, ...rest }: Patch, { objects }: Gathered): void {
  const file = join(folder, path);
  if (Object.keys(rest).length > 0) throw new Error(`${file}: cannot render ${Object.keys(rest).join(", ")}`);
  const patch = parse(readFileSync(file, "utf8")) as Json;
  if (!Array.isArray(patch)) throw new Error(`${file}: only JSON patches (RFC 6902) are rendered`);
  const found = objects.findIndex(
    ({ kind, metadata }) => kind === target.kind && metadata.name === target.name,
  );
  if (found === -1) throw new Error(`${file}: there is no ${target.kind} ${target.name} to patch`);
  objects[found] = applyJsonPatch(objects[found]!, patch) as Manifest;
}

function setImages(
  objects: readonly Manifest[],
  { name, newName = name, newTag, digest, ...rest }: Image,
): void {
  if (Object.keys(rest).length > 0) throw new Error(`images: cannot render ${Object.keys(rest).join(", ")}`);
  const tail = digest === undefined ? (newTag === undefined ? undefined : `:${newTag}`) : `@${digest}`;
  for (const object of objects)
    eachKey(object, "image", (value) => {
      const [, before, rest = ""] = /^(.*?)((?::[^/]*)?(?:@.*)?)$/.exec(String(value))!;
      return before === name ? `${newName}${tail ?? rest}` : value;
    });
}

/** Whatever names a generated ConfigMap gets its hash, so that a new content starts new pods. */
function withHashes({ objects, generated }: Gathered): Manifest[] {
  const renamed = new Map(
    objects
      .filter(({ kind, metadata }) => kind === "ConfigMap" && generated.has(metadata.name))
      .map((object) => [object.metadata.name, `${object.metadata.name}-${hashOf(object)}`]),
  );
  const rename = (holder: Json) => {
    const reference = holder as { name?: string };
    reference.name = renamed.get(reference.name ?? "") ?? reference.name!;
    return holder;
  };
  for (const object of objects) {
    for (const key of ["configMap", "configMapRef", "configMapKeyRef"]) eachKey(object, key, rename);
    if (object.kind === "ConfigMap")
      object.metadata.name = renamed.get(object.metadata.name) ?? object.metadata.name;
  }
  return objects;
}

function eachKey(value: Json, key: string, change: (value: Json) => Json): void {
  if (value === null || typeof value !== "object") return;
  for (const [name, inner] of Object.entries(value)) {
    if (name === key && !Array.isArray(value)) value[name] = change(inner);
    else eachKey(inner, key, change);
  }
}

/** As kustomize does it (api/hasher): of the JSON with sorted keys and, by an old slip of its, no name; in letters that spell nothing. */
function hashOf({ data }: Manifest): string {
  const sorted = Object.fromEntries(Object.entries(data as JsonObject).sort(([a], [b]) => (a < b ? -1 : 1)));
  // Go escapes these three in JSON.
  const text = JSON.stringify({ data: sorted, kind: "ConfigMap", name: "" }).replace(
    /[<>&]/g,
    (found) => `\\u00${found.charCodeAt(0).toString(16)}`,
  );
  const letters: Readonly<Record<string, string>> = { "0": "g", "1": "h", "3": "k", a: "m", e: "t" };
  const hex = createHash("sha256").update(text).digest("hex").slice(0, HASH_CHARACTERS);
  return hex.replace(/[013ae]/g, (found) => letters[found]!);
}
