/**
 * Which pinned files may become the file at another path as they are, instead of being copied. Only what goes from where it was,
 * once: two paths of one file would change together when an application writes to one of them after a promotion.
 */

import type { Pins } from "./pins.ts";
import type { Plan } from "./plan.ts";

export function movablePins({ removes, paths }: Plan, pins: Pins): (pin: string) => boolean {
  const gone = new Set(removes);
  const moved = new Set<string>();

  function leaves(path: string | undefined): boolean {
    if (path === undefined) return false;
    const planned = paths.get(path);
    return planned ? planned.fresh || planned.slots.length > 0 : gone.has(path);
  }

  return (pin) => {
    const path = pins.pathOf(pin);
    const source = path ?? pin;
    if (moved.has(source) || !(pins.isLanding(pin) || leaves(path))) return false;
    moved.add(source);
    return true;
  };
}
