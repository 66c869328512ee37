/** Whole runs on a simulated link, for tests and for trying out ideas: a transfer alone, or beside one TCP flow. */

import { events } from "./events.ts";
import { type LinkShape, simulatedLink } from "./link.ts";
import { type Machine, ourFlow } from "./ours.ts";

import { tcpFlow } from "./tcp.ts";

const PAYLOAD_BYTES = 1458;
const PACKET_BITS = 1538 * 8;
const END_MS = 300_000;

type Setting = LinkShape & { readonly random: () => number; readonly machine?: Machine };

export type Transfer = {
  readonly goodputMbps: number;
  /** Of link x (1 - loss). */
  readonly share: number;
  readonly duplicateShare: number;
  /** Packets sent for each piece. */
  readonly sentRatio: number;
  readonly queueMeanMs: number;
};

export function transferAlone(
  setting: Setting,
  { megabytes, at = [] }: { megabytes: number; at?: readonly { ms: number; scale: number }[] },
): Transfer & { readonly samples: readonly { ms: number; rateMbps: number }[] } {
  const world = events();
  const { random } = setting;
  const there = simulatedLink(world, setting, random);
  const back = simulatedLink(world, setting, random);
  const pieces = Math.round((megabytes * 1e6) / PAYLOAD_BYTES);
  const flow = ourFlow(world, {
    there,
    back,
    pieces,
    startMs: 0,
    rttMs: 2 * setting.delayMs,
    random,
    ...(setting.machine && { machine: setting.machine }),
  });
  for (const { ms, scale } of at) world.at(ms, () => there.scale(scale));
  const samples: { ms: number; rateMbps: number }[] = [];
  const sample = () => {
    samples.push({ ms: world.nowMs, rateMbps: (flow.dispatch.congestion.rate * PACKET_BITS) / 1000 });
    world.at(world.nowMs + 50, sample);
  };
  world.at(0, sample);
  world.run(END_MS, flow.done);
  const goodputMbps = (pieces * PAYLOAD_BYTES * 8) / flow.doneMs() / 1000;
  return {
    goodputMbps,
    share: goodputMbps / setting.mbps / (1 - (setting.loss ?? 0)),
    duplicateShare: flow.duplicates() / pieces,
    sentRatio: flow.dispatch.sent.packets / pieces,
    queueMeanMs: there.queueMs.mean,
    samples,
  };
}

/** Our share of what both had delivered, from a second after the newcomer came. */
export function shareBeside(
  setting: Setting,
  {
    law,
    first,
    leadMs = 5_000,
    spanMs = 25_000,
  }: { law: "cubic" | "bbr"; first: "ours" | "tcp"; leadMs?: number; spanMs?: number },
): { share: number; use: number } {
  const world = events();
  const { random } = setting;
  const there = simulatedLink(world, setting, random);
  const back = simulatedLink(world, setting, random);
  const late = (who: "ours" | "tcp") => (first === who ? 0 : leadMs);
  const ours = ourFlow(world, {
    there,
    back,
    pieces: 4e6,
    startMs: late("ours"),
    rttMs: 2 * setting.delayMs,
    random,
    ...(setting.machine && { machine: setting.machine }),
  });
  const tcp = tcpFlow(world, { there, back, law, startMs: late("tcp") });
  let before = { ours: 0, tcp: 0 };
  world.at(leadMs + 1_000, () => {
    before = { ours: ours.received(), tcp: tcp.delivered() };
  });
  world.run(leadMs + spanMs);
  const [us, them] = [ours.received() - before.ours, tcp.delivered() - before.tcp];
  return {
    share: us / (us + them),
    use: ((us + them) * PACKET_BITS) / 1000 / (spanMs - 1_000) / setting.mbps,
  };
}
