import { events } from "./packages/mirror/src/datagram/simulation/events.ts";
import { simulatedLink } from "./packages/mirror/src/datagram/simulation/link.ts";
import { ourFlow } from "./packages/mirror/src/datagram/simulation/ours.ts";
import { tcpFlow } from "./packages/mirror/src/datagram/simulation/tcp.ts";
const machine = process.env.BUSY ? { pauseEveryMs: +(process.env.BUSY.split(',')[0]), pauseMs: +(process.env.BUSY.split(',')[1]) } : undefined;
export function rand(seed: number) { let s = seed >>> 0; return () => { s = (s + 0x6d2b79f5) >>> 0; let m = Math.imul(s ^ (s >>> 15), s | 1); m ^= m + Math.imul(m ^ (m >>> 7), m | 61); return ((m ^ (m >>> 14)) >>> 0) / 2 ** 32; }; }
export function alone(mbps: number, loss: number, opts: any = {}) {
  const ev = events(); const r = rand(opts.seed ?? 1);
  const shape = { mbps, delayMs: 25, queueMs: 100, loss, ...opts };
  const there = simulatedLink(ev, shape, r), back = simulatedLink(ev, shape, r);
  const pieces = Math.round((opts.mb ?? 100) * 1e6 / 1458);
  const f = ourFlow(ev, { there, back, pieces, startMs: 0, rttMs: 2 * shape.delayMs, random: r, machine: opts.machine ?? machine });
  const series: string[] = [];
  if (opts.trace) { const t = () => { const c = f.dispatch.congestion; series.push(`${ev.nowMs.toFixed(0)} ${c.phase} rate=${(c.rate*12.304).toFixed(1)} win=${c.window.toFixed(0)} fl=${f.dispatch.flying} rtt=${c.rttMs.toFixed(1)}/${c.minRttMs.toFixed(1)} loss=${(c.lossShare*100).toFixed(2)} ${c.contending}`); ev.at(ev.nowMs + opts.trace, t); }; ev.at(0, t); }
  if (opts.cut) { ev.at(opts.cut, () => there.scale(0.1)); ev.at(opts.cut + 5000, () => there.scale(10)); }
  ev.run(120000, f.done);
  const goodput = pieces * 1458 * 8 / f.doneMs() / 1000;
  return { goodput, share: goodput / (mbps * (1 - loss)), wire: f.dispatch.sent.packets * (1 - loss) * 1500 / (pieces * 1458), dup: f.duplicates() / pieces * 100, q: there.queueMs, drops: there.dropped, series };
}
export function beside(law: "cubic" | "bbr", weFirst: boolean, opts: any = {}) {
  const ev = events(); const r = rand(opts.seed ?? 1);
  const shape = { mbps: 100, delayMs: 25, queueMs: 100, ...opts };
  const there = simulatedLink(ev, shape, r), back = simulatedLink(ev, shape, r);
  const lead = opts.lead ?? 5000, span = opts.span ?? 30000;
  const f = ourFlow(ev, { there, back, pieces: 2e6, startMs: weFirst ? 0 : lead, rttMs: 50, random: r, machine });
  const t = tcpFlow(ev, { there, back, law, startMs: weFirst ? lead : 0 });
  const series: string[] = [];
  if (opts.trace) { let a = 0, b = 0; const tr = () => { const c = f.dispatch.congestion; series.push(`${ev.nowMs.toFixed(0)} us=${((f.received()-a)*12.304/opts.trace).toFixed(1)} tcp=${((t.delivered()-b)*12.304/opts.trace).toFixed(1)} w=${t.window().toFixed(0)} ${c.phase} rate=${(c.rate*12.304).toFixed(1)} win=${c.window.toFixed(0)} fl=${f.dispatch.flying} rtt=${c.rttMs.toFixed(1)}/${c.minRttMs.toFixed(1)} loss=${(c.lossShare*100).toFixed(2)} ${c.contending} drops=${there.dropped}`); a = f.received(); b = t.delivered(); ev.at(ev.nowMs + opts.trace, tr); }; ev.at(0, tr); }
  let a0 = 0, b0 = 0; ev.at(lead + 1000, () => { a0 = f.received(); b0 = t.delivered(); });
  ev.run(lead + span);
  const us = f.received() - a0, them = t.delivered() - b0;
  return { share: us / (us + them), use: (us + them) * 12.304 / (span - 1000) / shape.mbps, series };
}
const what = process.argv[2] ?? "all";
if (what === "all" || what === "alone") for (const m of [100, 200]) for (const l of [0, .01, .03, .05]) { const { series, ...x } = alone(m, l, { mb: m }); console.log(m, l, 'share', x.share.toFixed(4), 'wire', x.wire.toFixed(4), 'dup', x.dup.toFixed(3), 'q', x.q.mean.toFixed(1), 'drops', x.drops); }
if (what === "all" || what === "beside") for (const law of ["cubic", "bbr"] as const) for (const first of [true, false]) { const x = [1, 2, 3].map((seed) => beside(law, first, { seed, lead: 5000 + seed * 700 })); console.log(law, first ? "we first" : "tcp first", x.map((e) => `${e.share.toFixed(2)} (use ${e.use.toFixed(2)})`).join("  ")); }
if (what === "trace") console.log(alone(+process.argv[3]!, +process.argv[4]!, { trace: 100, mb: 30 }).series.slice(0, +(process.argv[5] ?? 60)).join("\n"));
if (what === "cut") console.log(alone(100, +(process.argv[3] ?? 0), { trace: 100, mb: 150, cut: 5000 }).series.slice(45, 130).join("\n"));
if (what === "btrace") { const x = beside(process.argv[3] as any, process.argv[4] === "first", { trace: 250 }); console.log(x.series.join("\n"), x.share); }
