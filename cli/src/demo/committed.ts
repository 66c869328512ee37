/** Which writes the final primary really has: the keys it has committed, asked from itself and not through the balancer. */

const PAGES_MAX = 1_000;

export async function committedKeys(address: string): Promise<Set<string>> {
  const keys = new Set<string>();
  let after = 0;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const response = await fetch(`http://${address}/idempotency-keys?after=${after}`);
    if (!response.ok) throw new Error(`${address} answered ${response.status} when asked for its keys`);
    const found = (await response.json()) as { id: number; key: string }[];
    if (found.length === 0) return keys;
    for (const { key } of found) keys.add(key);
    after = found.at(-1)!.id;
  }
  throw new Error(`${address} has more keys than this run can have written`);
}
