/** Names of resources, instances, hosts and pools: DNS labels, because they become subjects, file names and host names. */

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export function isLabel(name: string): boolean {
  return LABEL.test(name);
}

/** Throws a RangeError that says what is wrong with `name`; returns it when it is a DNS label. */
export function asLabel(name: string, what: string): string {
  if (!isLabel(name)) {
    throw new RangeError(
      `${what} "${name.slice(0, 80)}" is not a DNS label (a-z, 0-9 and -, 1 to 63 characters)`,
    );
  }
  return name;
}
