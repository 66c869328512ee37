/**
 * A writer that was made to stand still, as a record on disk: written before it is stopped and removed when it goes on
 * again. Whoever finds one lets the writer go on: the process that stopped it may be gone.
 */

import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { AppCall } from "@understudy/model/policy";
import { MirrorError } from "./error.ts";
import { type Frozen, thaw } from "./freeze.ts";
import { type CallTarget, callApp } from "./hook.ts";

export type Held =
  | { readonly kind: "freeze"; readonly frozen: Frozen }
  | {
      readonly kind: "hook";
      readonly thaw: AppCall;
      readonly target: CallTarget;
      readonly timeoutMs: number;
    };

export function writeHeld(record: string, held: Held): void {
  const draft = `${record}.draft`;
  writeFileSync(draft, JSON.stringify(held), { mode: 0o600 });
  renameSync(draft, record);
}

/** Throws when the application does not let itself be thawed; its record stays then. */
export async function letGo(record: string, held: Held): Promise<void> {
  if (held.kind === "freeze") thaw(held.frozen);
  else await callApp(held.thaw, held.target, held.timeoutMs);
  rmSync(record, { force: true });
}

/** What an earlier process left standing; undefined when nothing is. */
export function readHeld(record: string): Held | undefined {
  try {
    return JSON.parse(readFileSync(record, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new MirrorError("io", `${record} cannot be read: remove it once the writer runs`, {
        cause: error,
      });
    return undefined;
  }
}
