/**
 * Over what a seed goes. UDP has to get through, and it has to be worth it: on a clean way, however long, TLS in the kernel
 * fills the link and shares it better with others than our datagrams do. What TCP would reach on a lossy way follows from loss
 * and round trip (Mathis et al., "The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm", 1997).
 */

import type { PathProbe } from "./probe.ts";

const MATHIS = 1.22;
const SEGMENT_BITS = 1448 * 8;
/** What one core of ours sends. */
const OUR_MBPS = 500;

export type SeedOver = "auto" | "tls" | "udp";

export function chooseTransport(probe: PathProbe, seedOver: SeedOver): "tls" | "udp" {
  if (seedOver === "tls" || !probe.answered) return "tls";
  if (seedOver === "udp") return "udp";
  if (probe.lossShare === 0) return "tls";
  // The probe counts losses both ways; TCP's data takes one.
  const loss = probe.lossShare / 2;
  const tcpMbps = (MATHIS * SEGMENT_BITS) / (probe.rttMs * Math.sqrt(loss)) / 1000;
  return tcpMbps < OUR_MBPS ? "udp" : "tls";
}
