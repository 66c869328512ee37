/** JSON patches (RFC 6902), as far as our overlays use them: add, replace, remove. Anything else is refused. */

import type { Json, JsonObject } from "./manifest.ts";

/** A patched copy. Throws an Error that names the operation that cannot be done. */
export function applyJsonPatch(target: Json, patch: readonly Json[]): Json {
  const copy = structuredClone(target);
  for (const operation of patch) applyOne(copy, operation as JsonObject);
  return copy;
}

function applyOne(root: Json, operation: JsonObject): void {
  const { op, path, value, ...rest } = operation;
  const fail = (why: string): never => {
    throw new Error(`${JSON.stringify(operation)}: ${why}`);
  };
  if (typeof path !== "string" || !path.startsWith("/") || Object.keys(rest).length > 0)
    return fail("is no patch");
  const words = path.slice(1).split("/");
  const names = words.map((word) => word.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = names.pop()!;
  const holder = names.reduce<Json | undefined>((at, name) => childOf(at, name), root);
  if (holder === undefined || holder === null || typeof holder !== "object") return fail("leads nowhere");
  const isThere = childOf(holder, last) !== undefined;
  if ((op === "replace" || op === "remove") && !isThere) return fail("there is nothing there");
  if (op === "add" || op === "replace") {
    if (value === undefined) return fail("has no value");
    return put(holder, { last, value, op });
  }
  if (op !== "remove") return fail("is neither add, replace nor remove");
  if (Array.isArray(holder)) holder.splice(Number(last), 1);
  else delete holder[last];
}

function childOf(at: Json | undefined, name: string): Json | undefined {
  if (at === undefined || at === null || typeof at !== "object") return undefined;
  return Array.isArray(at) ? at[Number(name)] : at[name];
}

function put(
  holder: Json[] | JsonObject,
  { last, value, op }: { last: string; value: Json; op: "add" | "replace" },
): void {
  if (!Array.isArray(holder)) holder[last] = value;
  else if (last === "-") holder.push(value);
  else holder.splice(Number(last), op === "replace" ? 1 : 0, value);
}
