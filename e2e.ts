import { openDatagramSender } from "./packages/mirror/src/datagram/sender.ts";
import { openDatagramReceiver } from "./packages/mirror/src/datagram/receiver.ts";
import { datagramKeys } from "./packages/mirror/src/datagram/keys.ts";
import { createHash } from "node:crypto";
const mb = +(process.argv[2] ?? 100);
const keys = datagramKeys(new Uint8Array(128).fill(7));
const role = process.argv[3] ?? "both";
if (role !== "send") {
  const r = await openDatagramReceiver({ keys, host: process.argv[4] ?? "127.0.0.1" });
  console.log("port", r.port);
  (async () => { let n = 0; const h = createHash("sha1"); let t0 = 0; for await (const b of r.blocks()) { t0 ||= performance.now(); h.update(b); n += b.length; if (n === mb * 1e6) { console.log("received", n, h.digest("hex"), (n * 8 / 1000 / (performance.now() - t0)).toFixed(1), "Mbit/s", (process.memoryUsage().rss/1e6).toFixed(0), "MB rss"); setTimeout(() => process.exit(0), 500); } } })();
  if (role === "both") await send("127.0.0.1", r.port);
} else await send(process.argv[4]!, +process.argv[5]!);
async function send(host: string, port: number) {
  const s = openDatagramSender({ keys, host, port, limitMbps: undefined });
  const p = await s.probe(); console.log(p);
  if (!p.answered) process.exit(1);
  await s.start(p);
  const chunk = new Uint8Array(1e6).map((_, i) => (i * 7919) >> 5);
  const h = createHash("sha1"); const t0 = performance.now();
  for (let i = 0; i < mb; i++) { h.update(chunk); await s.write(chunk); }
  await s.finish(); const ms = performance.now() - t0;
  console.log("sent", h.digest("hex"), (mb * 8000 / ms).toFixed(1), "Mbit/s", s.stats(), (process.memoryUsage().rss/1e6).toFixed(0), "MB rss");
  s.close();
}
