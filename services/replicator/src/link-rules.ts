/** How fast mirror data may go at a time of day, and under which services code point, by the rules of host and resource. Pure. */

import type { LinkRules } from "@understudy/model/policy";

const BYTES_PER_MBIT = 125_000;
const MINUTES_PER_HOUR = 60;

/** Bytes per second; undefined: no limit. The first window that holds counts, else the general limit. `date`: this host's own time. */
export function rateAt(rules: LinkRules | undefined, date: Date): number | undefined {
  const minute = date.getHours() * MINUTES_PER_HOUR + date.getMinutes();
  const window = rules?.schedule.find(({ from, to }) => isWithin(minute, minutesOf(from), minutesOf(to)));
  const mbit = window ? window.limitMbit : rules?.limitMbit;
  return mbit === undefined ? undefined : mbit * BYTES_PER_MBIT;
}

/** From 22:00 to 06:00 goes over midnight; from and to alike is the whole day. */
function isWithin(minute: number, from: number, to: number): boolean {
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

function minutesOf(time: string): number {
  const [hours, minutes] = time.split(":").map(Number);
  return hours! * MINUTES_PER_HOUR + minutes!;
}

/** A resource's own code point goes before that of the link. */
export function dscpOf(resource: LinkRules | undefined, host: LinkRules | undefined): number | undefined {
  return resource?.dscp ?? host?.dscp;
}
