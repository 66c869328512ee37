/**
 * Which machines were invited, have joined or were struck off. Pure. Of a token only its hash is known here; a name is given
 * once: the certificate of a host that was removed is still good for its name, and must never be that of another machine.
 */

import { isLabel } from "@understudy/model/names";

export const VALID_MINUTES_DEFAULT = 15;
const VALID_MINUTES_MAX = 1440;
const HOSTS_MAX = 1000;

export type HostEntry =
  | {
      readonly name: string;
      readonly state: "invited";
      readonly secretHash: string;
      readonly expiresAtMs: number;
    }
  | {
      readonly name: string;
      readonly state: "joined";
      readonly control: string;
      readonly data: string;
      readonly joinedAtMs: number;
    }
  | { readonly name: string; readonly state: "removed" };

export type Registry = readonly HostEntry[];

export type Change =
  | { readonly done: true; readonly next: Registry }
  | { readonly done: false; readonly why: string };

/** An unused token of before is taken back by a new one. */
export function invite(
  registry: Registry,
  request: { name: string; secretHash: string; validMinutes: number; nowMs: number },
): Change {
  const { name, secretHash, validMinutes, nowMs } = request;
  if (!isLabel(name)) return { done: false, why: `"${name}" is not a DNS label (a-z, 0-9 and -)` };
  if (validMinutes > VALID_MINUTES_MAX)
    return { done: false, why: `a token is good for ${VALID_MINUTES_MAX} minutes at most` };
  const known = registry.find((entry) => entry.name === name);
  if (known?.state === "joined")
    return { done: false, why: `${name} has joined already: remove it, and add it under another name` };
  if (known?.state === "removed")
    return {
      done: false,
      why: `${name} was removed, and its certificate is still good: choose another name`,
    };
  if (!known && registry.length >= HOSTS_MAX)
    return { done: false, why: `${HOSTS_MAX} hosts are known already` };
  const expiresAtMs = nowMs + (validMinutes || VALID_MINUTES_DEFAULT) * 60_000;
  return { done: true, next: replaced(registry, { name, state: "invited", secretHash, expiresAtMs }) };
}

/** Uses an invitation up. */
export function redeem(
  registry: Registry,
  request: { secretHash: string; control: string; data: string; nowMs: number },
): Change & { readonly name?: string } {
  const { secretHash, control, data, nowMs } = request;
  const invited = registry.find((entry) => entry.state === "invited" && entry.secretHash === secretHash);
  if (invited?.state !== "invited")
    return {
      done: false,
      why: "this token is not known, or was used already: ask for a new one, understudy host add",
    };
  if (nowMs > invited.expiresAtMs)
    return {
      done: false,
      why: `this token has expired: ask for a new one, understudy host add ${invited.name}`,
    };
  const { name } = invited;
  return {
    done: true,
    name,
    next: replaced(registry, { name, state: "joined", control, data, joinedAtMs: nowMs }),
  };
}

export function remove(registry: Registry, name: string): Change {
  const known = registry.find((entry) => entry.name === name);
  if (!known || known.state === "removed") return { done: false, why: `there is no host ${name}` };
  // Nobody holds a certificate of that name yet.
  if (known.state === "invited") return { done: true, next: registry.filter((entry) => entry !== known) };
  return { done: true, next: replaced(registry, { name, state: "removed" }) };
}

function replaced(registry: Registry, entry: HostEntry): Registry {
  return [...registry.filter(({ name }) => name !== entry.name), entry];
}
