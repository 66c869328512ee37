/** Reads what HAProxy's runtime API prints: `show stat`, `show servers state`, `show map`. Columns are found by name. */

import { DriverError } from "../driver.ts";

/** Counters of one line of `show stat`. */
export type StatLine = {
  readonly server: string;
  readonly requests: number;
  readonly inFlight: number;
  readonly queued: number;
  readonly connectErrors: number;
  readonly responseErrors: number;
  readonly answered5xx: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly up: boolean;
};

/** The line that sums up a backend; servers have their own names. */
export const BACKEND_LINE = "BACKEND";

export function parseStat(text: string): readonly StatLine[] {
  const [head, ...lines] = text.split("\n").filter((line) => line !== "");
  const column = columnsOf(head, { prefix: "# ", separator: "," });
  return lines.map((line) => {
    const cells = line.split(",");
    const count = (name: string) => Number(cells[column(name)] || 0);
    return {
      server: cells[column("svname")] ?? "",
      requests: count("stot"),
      inFlight: count("scur"),
      queued: count("qcur"),
      connectErrors: count("econ"),
      responseErrors: count("eresp"),
      answered5xx: count("hrsp_5xx"),
      bytesIn: count("bin"),
      bytesOut: count("bout"),
      up: /^(UP|no check)/.test(cells[column("status")] ?? ""),
    };
  });
}

export type ServerAdmin = "ready" | "drain" | "maint";

export type ServerState = {
  readonly server: string;
  /** "127.0.0.1:40001" */
  readonly address: string;
  /** Where its checks go when not to `address`; empty otherwise. */
  readonly checkAddress: string;
  readonly weight: number;
  readonly admin: ServerAdmin;
};

const MAINT_BITS = 0x01 | 0x02 | 0x20;
const DRAIN_BITS = 0x08 | 0x10;

export function parseServersState(text: string): readonly ServerState[] {
  // The first line is the version of the format.
  const [, head, ...lines] = text.split("\n").filter((line) => line !== "");
  const column = columnsOf(head, { prefix: "# ", separator: " " });
  return lines.map((line) => {
    const cells = line.split(" ");
    const cell = (name: string) => cells[column(name)] ?? "";
    const checkPort = cell("srv_check_port");
    return {
      server: cell("srv_name"),
      address: `${cell("srv_addr")}:${cell("srv_port")}`,
      checkAddress: checkPort === "0" ? "" : `${cell("srv_check_addr")}:${checkPort}`,
      weight: Number(cell("srv_uweight")),
      admin: adminOf(Number(cell("srv_admin_state"))),
    };
  });
}

function adminOf(bits: number): ServerAdmin {
  if (bits & MAINT_BITS) return "maint";
  return bits & DRAIN_BITS ? "drain" : "ready";
}

/** The path of the loaded map file with this name: HAProxy names maps by the path in its configuration. */
export function findMap(listing: string, fileName: string): string | undefined {
  const paths = listing.split("\n").map((line) => /^\S+ \(([^)]+)\)/.exec(line)?.[1]);
  return paths.find((path) => path?.split("/").at(-1) === fileName);
}

/** `show map FILE`: one "pointer key value" a line. */
export function parseMap(text: string): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, key, value] = line.split(" ");
    if (key !== undefined && value !== undefined) entries.set(key, value);
  }
  return entries;
}

/** Throws when the answer is not a table at all, for example "Permission denied". */
function columnsOf(
  head: string | undefined,
  { prefix, separator }: { prefix: string; separator: string },
): (name: string) => number {
  if (!head?.startsWith(prefix))
    throw new DriverError("refused", `haproxy: "${(head ?? "").slice(0, 200)}" is not a table`);
  const names = new Map(
    head
      .slice(prefix.length)
      .split(separator)
      .map((name, index) => [name, index]),
  );
  return (name) => {
    const index = names.get(name);
    if (index === undefined) throw new DriverError("refused", `haproxy: its tables have no column "${name}"`);
    return index;
  };
}
