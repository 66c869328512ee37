/**
 * Where the next shadow goes: to the host that keeps fewest instances of the resource, the primary's counted, so that no machine
 * takes them all with it. In the order of the configuration where that is equal; a host that does not answer comes last.
 */

import { isMember, type ResourceState, type Tracked } from "./resource-state.ts";

/** Empty: this host. */
export function placeFor(state: ResourceState): string {
  const isAway = (host: string) => Number(state.awayHosts.includes(host));
  return placesOf(state).toSorted((a, b) => isAway(a) - isAway(b) || keptAt(state, a) - keptAt(state, b))[0]!;
}

/** How many instances a host keeps. */
export function keptAt({ instances }: ResourceState, host: string): number {
  return instances.filter((tracked) => tracked.host === host).length;
}

/**
 * Whether two that count are on one host while another that answers has none: a host was away, and is back. One that is on its way
 * there does not count yet, so that this holds until it does.
 */
export function isCrowded(state: ResourceState): boolean {
  const places = placesOf(state);
  if (places.length < 2) return false;
  const members = state.authority?.inSync ?? [];
  const counts = (tracked: Tracked) =>
    tracked.role === "primary" || (tracked.stage.at === "serving" && isMember(members, tracked));
  const standing = state.instances.filter(counts);
  const at = (host: string) => standing.filter((tracked) => tracked.host === host).length;
  return (
    places.some((host) => at(host) > 1) &&
    places.some((host) => at(host) === 0 && !state.awayHosts.includes(host))
  );
}

/** Whether a shadow may be there at all. */
export function isPlace(state: ResourceState, host: string): boolean {
  return placesOf(state).includes(host);
}

function placesOf({ spec, host }: ResourceState): readonly string[] {
  const { hosts } = spec.shadows;
  return hosts.length === 0 ? [""] : hosts.map((name) => (name === host ? "" : name));
}
