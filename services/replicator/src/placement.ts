/**
 * Where the next shadow goes: to the host that keeps fewest instances of the resource, the primary's counted, so that no machine
 * takes them all with it. In the order of the configuration where that is equal; a host that does not answer comes last.
 */

import type { ResourceState } from "./resource-state.ts";

/** Empty: this host. */
export function placeFor(state: ResourceState): string {
  const { instances, awayHosts } = state;
  const kept = (host: string) => instances.filter((tracked) => tracked.host === host).length;
  const isAway = (host: string) => Number(awayHosts.includes(host));
  return placesOf(state).toSorted((a, b) => isAway(a) - isAway(b) || kept(a) - kept(b))[0]!;
}

/** Whether a shadow may be there at all. */
export function isPlace(state: ResourceState, host: string): boolean {
  return placesOf(state).includes(host);
}

function placesOf({ spec, host }: ResourceState): readonly string[] {
  const { hosts } = spec.shadows;
  return hosts.length === 0 ? [""] : hosts.map((name) => (name === host ? "" : name));
}
