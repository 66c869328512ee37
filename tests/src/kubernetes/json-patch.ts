/** JSON patches (RFC 6902), as far as our overlays use them: add, replace, remove. Anything else is refused. */

import type { Json, JsonObject } from "./manifest.ts";

const OPERATIONS = ["add", "replace", "remove"];

/** A patched copy. Throws an Error that names the operation that cannot be done. */
export function applyJsonPatch(target: Json, patch: readonly Json[]): Json {
  const copy = structuredClone(target);
  for (const operation of patch) {
    const problem = applyOne(copy, operation as JsonObject);
    if (problem) throw new Error(`${JSON.stringify(operation)}: ${problem}`);
  }
  return copy;
}

/** Why it cannot be done, or nothing. */
function applyOne(root: Json, { op, path, value, ...rest }: JsonObject): string | undefined {
  if (typeof path !== "string" || !path.startsWith("/") || Object.keys(rest).length > 0) return "is no patch";
  if (!OPERATIONS.includes(String(op))) return `is none of ${OPERATIONS.join(", ")}`;
  const words = path.slice(1).split("/");
  const names = words.map((word) => word.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = names.pop()!;
  const holder = names.reduce<Json | undefined>((at, name) => childOf(at, name), root);
  if (holder === undefined || holder === null || typeof holder !== "object") return "leads nowhere";
  if (op !== "add" && childOf(holder, last) === undefined) return "there is nothing there";
  if (op === "remove") remove(holder, last);
  else if (value === undefined) return "has no value";
  else put(holder, last, { value, isNew: op === "add" });
  return undefined;
}

function childOf(at: Json | undefined, name: string): Json | undefined {
  if (at === undefined || at === null || typeof at !== "object") return undefined;
  return Array.isArray(at) ? at[Number(name)] : at[name];
}

function remove(holder: Json[] | JsonObject, last: string): void {
  if (Array.isArray(holder)) holder.splice(Number(last), 1);
  else delete holder[last];
}

function put(
  holder: Json[] | JsonObject,
  last: string,
  { value, isNew }: { value: Json; isNew: boolean },
): void {
  if (!Array.isArray(holder)) holder[last] = value;
  else if (last === "-") holder.push(value);
  else holder.splice(Number(last), isNew ? 0 : 1, value);
}
