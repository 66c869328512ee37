import { runSeed } from "./bench/src/flows.ts";
import { openLossyLink } from "./bench/src/lossy-link.ts";
const [mbps, loss, secs, rt] = [+process.argv[2]!, +process.argv[3]!, +process.argv[4]!, process.argv[5] !== "normal"];
const link = await openLossyLink({ mbps, lossPct: loss, delayMs: 25, queueMs: 100 });
const r = await runSeed(link, { seconds: secs, megabytes: mbps / 8 * secs, isRealtime: rt });
let last: any; const hist: any = {};
for (const s of r.sent) { if (last) { const rate = ((s.sentBytes - last.sentBytes) * 8 / 1000 / (s.atMs - last.atMs)); hist[s.phase] = (hist[s.phase] ?? 0) + 1; if (process.argv[6]) console.log((s.atMs - r.sent[0]!.atMs).toFixed(0), s.phase, rate.toFixed(1), "rtt", s.rttMs.toFixed(1), (s as any).extra ?? ""); } last = s; }
console.log(hist, r.done, (r.done.bytes * 8 / r.done.tookMs / 1000 / mbps / (1 - loss / 100)).toFixed(4), await link.counters());
await link.close();
