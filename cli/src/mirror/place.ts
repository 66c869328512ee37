/** What `understudy mirror` is told on its command line, as values: places, rates, services codes. Pure. */

import { InvalidArgumentError } from "commander";

/** "host:folder", as rsync writes it; an IPv6 address stands in brackets. */
export type Remote = { readonly host: string; readonly folder: string };

const REMOTE = /^((?:[\w.-]+@)?(?:\[[0-9a-fA-F:]+\]|[\w.-]+)):(.*)$/;

/** Undefined when it is a place on this machine: no colon, or a slash before it. */
export function parseRemote(text: string): Remote | undefined {
  const match = REMOTE.exec(text);
  return match ? { host: match[1]!, folder: match[2] || "." } : undefined;
}

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  bit: 1 / 8,
  kbit: 1e3 / 8,
  Mbit: 1e6 / 8,
  Gbit: 1e9 / 8,
};

/** "20MB", "100Mbit", with or without "/s": bytes per second. */
export function parseRate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z]+?)(?:\/s|ps)?$/.exec(text);
  const rate = Number(match?.[1]) * (UNITS[match?.[2] ?? ""] ?? Number.NaN);
  if (rate >= 1) return rate;
  throw new InvalidArgumentError(
    `It must be a rate such as 20MB or 100Mbit (${Object.keys(UNITS).join(", ")}).`,
  );
}

const DSCP_NAMES: Readonly<Record<string, number>> = {
  le: 1,
  cs1: 8,
  af11: 10,
  af21: 18,
  af31: 26,
  af41: 34,
  ef: 46,
};

/** A number from 0 to 63 or one of the usual names. */
export function parseDscp(text: string): number {
  const code = DSCP_NAMES[text.toLowerCase()] ?? Number(text);
  if (Number.isInteger(code) && code >= 0 && code <= 63) return code;
  throw new InvalidArgumentError(`It must be 0 to 63 or one of ${Object.keys(DSCP_NAMES).join(", ")}.`);
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_534) return port;
  throw new InvalidArgumentError("It must be a port from 1 to 65534.");
}

export type ListenAt = { readonly host: string; readonly port: number };

/** "0.0.0.0:7440", "7440" or "[::1]:7440"; port 0: any two that are free. */
export function parseListen(text: string, fallback: ListenAt): ListenAt {
  const match = /^(?:(.*):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!match || port > 65_534)
    throw new InvalidArgumentError("It must be host:port or a port, for example 0.0.0.0:7440.");
  return { host: (match[1] ?? fallback.host).replace(/^\[|\]$/g, ""), port };
}
