/**
 * Picks a few metrics out of Prometheus' text format (version 0.0.4). Samples of one name with different labels are added
 * up: we ask for what the whole instance does. https://prometheus.io/docs/instrumenting/exposition_formats/
 */

const NAME_END = /[{\s]/;

/** Name -> sum of its samples; a name without a finite sample is not in the map. */
export function parsePrometheus(text: string, wanted: ReadonlySet<string>): Map<string, number> {
  const sums = new Map<string, number>();
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf("\n", start);
    const end = newline === -1 ? text.length : newline;
    if (text.charCodeAt(start) !== 35 /* # */) addSample(text.slice(start, end), wanted, sums);
    start = end + 1;
  }
  return sums;
}

function addSample(line: string, wanted: ReadonlySet<string>, sums: Map<string, number>): void {
  const nameEnd = line.search(NAME_END);
  const name = line.slice(0, nameEnd);
  if (nameEnd < 1 || !wanted.has(name)) return;
  const valueStart = line.charAt(nameEnd) === "{" ? labelsEnd(line, nameEnd) : nameEnd;
  if (valueStart === -1) return;
  // A time stamp may follow the value.
  const [word = ""] = line.slice(valueStart).trim().split(/\s+/, 1);
  const value = word === "" ? Number.NaN : Number(word);
  if (Number.isFinite(value)) sums.set(name, (sums.get(name) ?? 0) + value);
}

/** The place after the closing brace, which is not one inside a quoted label value; -1 when there is none. */
function labelsEnd(line: string, open: number): number {
  let quoted = false;
  for (let at = open + 1; at < line.length; at += 1) {
    const char = line.charAt(at);
    if (quoted && char === "\\") at += 1;
    else if (char === '"') quoted = !quoted;
    else if (char === "}" && !quoted) return at + 1;
  }
  return -1;
}
