/**
 * What Understudy asks of a service that accepts writes: look at the role file before a write and again before its
 * answer. The file says who is primary and until when on the clock that counts from boot, so a process that was frozen
 * past its lease notices by itself.
 */

import { readFileSync } from "node:fs";

export type RoleOrder = {
  readonly role: "primary" | "shadow";
  readonly epoch: number;
  readonly untilBootMs: number;
};

/** Ms since the machine booted, suspension included. */
export function bootMs(): number {
  return Math.round(Number.parseFloat(readFileSync("/proc/uptime", "latin1")) * 1000);
}

/** The order in `file`. No file, or half of one, is no right to write. */
export function readRole(file: string): RoleOrder {
  try {
    const order = JSON.parse(readFileSync(file, "utf8")) as Partial<RoleOrder>;
    const { role, epoch, untilBootMs } = order;
    if (role === "primary" && Number.isFinite(epoch) && Number.isFinite(untilBootMs))
      return order as RoleOrder;
    return { role: "shadow", epoch: Number(epoch) || 0, untilBootMs: 0 };
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") {
      return { role: "shadow", epoch: 0, untilBootMs: 0 };
    }
    throw error;
  }
}

export function mayWrite(order: RoleOrder, nowBootMs: number): boolean {
  return order.role === "primary" && nowBootMs < order.untilBootMs;
}
