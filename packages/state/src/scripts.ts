/** The Lua scripts beside this file, and the shape of what they answer. */

import { readFileSync } from "node:fs";
import { POSITION_ZERO } from "@understudy/model/position";
import { authorityOf, type Kept, type Why } from "./rules.ts";
import type { Authority, Member } from "./store.ts";

/** Script -> how many keys it takes. */
export const SCRIPTS = {
  read: 1,
  claim: 1,
  abandon: 1,
  commit: 1,
  renew: 1,
  "set-in-sync": 1,
  "save-position": 1,
  "save-shadow": 2,
  recover: 1,
} as const;
export type ScriptName = keyof typeof SCRIPTS;

export function readScript(name: ScriptName): string {
  const text = (file: string) => readFileSync(new URL(`./lua/${file}.lua`, import.meta.url), "utf8");
  return `${text("prelude")}\n${text(name)}`;
}

export type Answer =
  | { readonly saved: true; readonly authority: Authority }
  | { readonly saved: false; readonly why: Why; readonly authority: Authority };

/** Throws a TypeError when the reply is none of ours. */
export function readAnswer(resource: string, reply: unknown): Answer {
  if (!Array.isArray(reply) || reply.length !== 4 || !Array.isArray(reply[3])) {
    throw new TypeError("redis answered something that no script of ours answers");
  }
  const [saved, why, nowMs, flat] = reply as [number, Why, string, string[]];
  const authority = authorityOf(keptFrom(resource, fieldsOf(flat)), Number(nowMs));
  return saved === 1 ? { saved: true, authority } : { saved: false, why, authority };
}

export type Fields = Readonly<Record<string, string | undefined>>;

function fieldsOf(flat: readonly string[]): Fields {
  const fields: Record<string, string> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) fields[flat[i]!] = flat[i + 1]!;
  return fields;
}

function keptFrom(resource: string, fields: Fields): Kept {
  const number = (field: string) => Number(fields[field] ?? 0);
  return {
    resource,
    epoch: number("epoch"),
    primary: fields.primary_instance
      ? { instance: fields.primary_instance, incarnation: fields.primary_incarnation ?? "" }
      : undefined,
    lease: fields.lease_holder
      ? {
          holder: fields.lease_holder,
          sequence: number("lease_sequence"),
          durationMs: number("lease_ms"),
        }
      : undefined,
    claim: fields.claim_coordinator
      ? {
          epoch: number("claim_epoch"),
          coordinator: fields.claim_coordinator,
          deadlineMs: number("claim_deadline_ms"),
        }
      : undefined,
    inSync: membersFrom(fields.in_sync ?? ""),
    inSyncRevision: number("in_sync_revision"),
    position: {
      epoch: number("position_epoch"),
      version: number("position_version"),
      hlc: { wallMs: number("position_wall_ms"), counter: number("position_counter") },
      root: fields.position_root ?? POSITION_ZERO.root,
    },
  };
}

/** "a/1 b/2": names and incarnations are labels, so neither holds a space or a slash. */
export function membersTo(members: readonly Member[]): string {
  return members.map(({ instance, incarnation }) => `${instance}/${incarnation}`).join(" ");
}

function membersFrom(text: string): Member[] {
  return text
    .split(" ")
    .filter((part) => part !== "")
    .map((part) => {
      const [instance = "", incarnation = ""] = part.split("/");
      return { instance, incarnation };
    });
}
