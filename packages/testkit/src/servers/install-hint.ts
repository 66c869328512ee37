/** The one message for a server that cannot be had: what was tried, and the command for each package manager. */

import type { ServerName } from "./names.ts";

const PACKAGES: Record<ServerName, { apt: string; brew: string; dnf: string; apk: string }> = {
  "nats-server": { apt: "nats-server", brew: "nats-server", dnf: "nats-server", apk: "nats-server" },
  "redis-server": { apt: "redis-server", brew: "redis", dnf: "redis", apk: "redis" },
  haproxy: { apt: "haproxy", brew: "haproxy", dnf: "haproxy", apk: "haproxy" },
};

export function howToInstall(name: ServerName, tried: readonly string[]): string {
  const { apt, brew, dnf, apk } = PACKAGES[name];
  return [
    `${name} cannot be had here: ${tried.join("; ")}. Install it with one of`,
    `  Debian, Ubuntu   sudo apt-get install ${apt}`,
    `  macOS            brew install ${brew}`,
    `  Fedora           sudo dnf install ${dnf}`,
    `  Alpine           sudo apk add ${apk}`,
    "or start Docker, and run the same command again.",
  ].join("\n");
}
