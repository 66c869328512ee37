/** The greatest or least of recent values, where "recent" is a span of whatever the caller counts in: rounds or ms. */

export interface Extreme {
  add(value: number, at: number): void;
  /** Undefined before the first. */
  readonly value: number | undefined;
  /** Forgets everything else. */
  reset(value: number, at: number): void;
}

type Entry = { readonly value: number; readonly at: number };

export function recentMax(span: number): Extreme {
  return extreme(span, (value, than) => value >= than);
}

export function recentMin(span: number): Extreme {
  return extreme(span, (value, than) => value <= than);
}

/** Keeps only what may still become the extreme: each entry is beaten by all before it and came after them. */
function extreme(span: number, beats: (value: number, than: number) => boolean): Extreme {
  const entries: Entry[] = [];
  return {
    add(value, at) {
      while (entries.length > 0 && beats(value, entries.at(-1)!.value)) entries.pop();
      entries.push({ value, at });
      while (entries[0]!.at <= at - span) entries.shift();
    },
    get value() {
      return entries[0]?.value;
    },
    reset(value, at) {
      entries.splice(0, entries.length, { value, at });
    },
  };
}
