/**
 * Load for the compose cluster, at a rate that does not wait for answers: nine reads for each keyed write. Says every five
 * seconds how many were answered well, by which instance. Settings: LOAD_URL, LOAD_RPS.
 */

import { randomUUID } from "node:crypto";

const URL_BASE = process.env.LOAD_URL ?? "http://haproxy:8080";
const RATE = Number(process.env.LOAD_RPS ?? 60);
const WRITES_EVERY = 10;
const PRODUCTS = 4000;
const SAY_EVERY_MS = 5000;
const TIMEOUT_MS = 10_000;
/** More than that under way: the cluster does not answer, and piling up helps nobody. */
const IN_FLIGHT_MAX = 1000;

const seen = new Map<string, number>();
let sent = 0;
let inFlight = 0;

const count = (what: string) => void seen.set(what, (seen.get(what) ?? 0) + 1);
const randomProduct = () => 1 + Math.floor(Math.random() * PRODUCTS);

async function send(): Promise<void> {
  sent += 1;
  if (inFlight >= IN_FLIGHT_MAX) return count("not sent");
  inFlight += 1;
  const isWrite = sent % WRITES_EVERY === 0;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = isWrite
      ? await fetch(`${URL_BASE}/orders`, {
          method: "POST",
          headers: { "idempotency-key": randomUUID() },
          body: JSON.stringify({ product: randomProduct(), quantity: 1 }),
          signal,
        })
      : await fetch(`${URL_BASE}/products/${randomProduct()}`, { signal });
    await response.arrayBuffer();
    const by = response.headers.get("server-instance") ?? "nobody";
    count(`${isWrite ? "write" : "read"} ${response.ok ? `by ${by}` : response.status}`);
  } catch (error) {
    count(`${isWrite ? "write" : "read"} failed: ${(error as Error).name}`);
  } finally {
    inFlight -= 1;
  }
}

for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => process.exit());
const beganMs = performance.now();
setInterval(() => {
  const due = ((performance.now() - beganMs) / 1000) * RATE;
  while (sent < due) void send();
}, 10);
setInterval(() => {
  const words = [...seen].sort().map(([what, times]) => `${what}: ${times}`);
  process.stdout.write(`${words.join(", ") || "no answer yet"}\n`);
  seen.clear();
}, SAY_EVERY_MS);
