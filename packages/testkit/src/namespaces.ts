/**
 * Hosts for tests: a network namespace each, on one switch with this machine, and a dedicated link between each two. Needs
 * root and `ip`; whoever cannot have them is told why. Links can be cut as a cable is.
 */

import { execFile, execFileSync, type SpawnOptions, spawn } from "node:child_process";
import { promisify } from "node:util";

const runFile = promisify(execFile);

/** Of its own for each process: two tests at once must not have the same route on this machine. */
const SUBNET = `10.${100 + (process.pid % 100)}.${Math.floor(process.pid / 100) % 250}`;
/** Only the two hosts ever see it. */
const DEDICATED = "10.77.9";
const HOSTS_MAX = 9;

export type NetworkHost = {
  readonly name: string;
  /** Its address on the switch. */
  readonly address: string;
  /** Its address on the dedicated link. */
  readonly dataAddress: string;
  spawn(file: string, args: readonly string[], options: SpawnOptions): ReturnType<typeof spawn>;
  /** Runs a command to its end; resolves to what it printed, rejects when it fails. Never holds this process up: it may serve others. */
  run(file: string, args: readonly string[]): Promise<string>;
  /** Cuts or mends its cable to the switch; the dedicated link is left alone. */
  setSwitch(up: boolean): void;
  /** Bytes sent so far over the dedicated link. */
  dataBytes(): number;
};

export type Network = {
  readonly hosts: readonly NetworkHost[];
  /** This machine's own address on the switch. */
  readonly address: string;
  close(): void;
};

/** Undefined when it can be made; else why not. */
export function whyNoNetwork(): string | undefined {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const name = `us${process.pid}t`;
  try {
    ip("netns", "add", name);
    ip("link", "add", `${name}0`, "type", "veth", "peer", "name", `${name}1`);
    ip("link", "del", `${name}0`);
    return undefined;
  } catch (error) {
    return `network namespaces cannot be made here: ${(error as Error).message.split("\n")[0]}`;
  } finally {
    quietly(() => ip("netns", "del", name));
  }
}

export function openNetwork(names: readonly [string, string]): Network {
  if (names.length > HOSTS_MAX) throw new RangeError(`at most ${HOSTS_MAX} hosts`);
  const tag = `us${process.pid}`;
  const hub = `${tag}-hub`;
  const spaces = names.map((name) => `${tag}-${name}`);
  const close = () => {
    for (const space of [...spaces, hub]) quietly(() => ip("netns", "del", space));
    quietly(() => ip("link", "del", `${tag}r`));
  };
  try {
    ip("netns", "add", hub);
    inside(hub, "link", "add", "br0", "type", "bridge");
    inside(hub, "link", "set", "br0", "up");
    plug({ tag, hub, port: "r", address: `${SUBNET}.1/24`, space: undefined });
    for (const [index, space] of spaces.entries()) {
      ip("netns", "add", space);
      inside(space, "link", "set", "lo", "up");
      plug({ tag, hub, port: String(index), address: `${SUBNET}.${index + 2}/24`, space });
    }
    const [one, two] = spaces as [string, string];
    ip("link", "add", `${tag}x`, "netns", one, "type", "veth", "peer", "name", `${tag}x`, "netns", two);
    for (const [index, space] of spaces.entries()) {
      inside(space, "addr", "add", `${DEDICATED}.${index + 2}/24`, "dev", `${tag}x`);
      inside(space, "link", "set", `${tag}x`, "up");
    }
  } catch (error) {
    close();
    throw error;
  }
  const hosts = names.map((name, index): NetworkHost => {
    const space = spaces[index]!;
    const exec = (file: string, args: readonly string[]) => ["netns", "exec", space, file, ...args];
    return {
      name,
      address: `${SUBNET}.${index + 2}`,
      dataAddress: `${DEDICATED}.${index + 2}`,
      spawn: (file, args, options) => spawn("ip", exec(file, args), options),
      run: async (file, args) => (await runFile("ip", exec(file, args))).stdout,
      setSwitch: (up) => inside(hub, "link", "set", `${tag}h${index}`, up ? "up" : "down"),
      dataBytes: () => {
        const shown = execFileSync("ip", ["-n", space, "-s", "-j", "link", "show", `${tag}x`], {
          encoding: "utf8",
        });
        return (JSON.parse(shown) as [{ stats64: { tx: { bytes: number } } }])[0].stats64.tx.bytes;
      },
    };
  });
  return { hosts, address: `${SUBNET}.1`, close };
}

/** A cable from the switch to a namespace, or to this machine. */
function plug(cable: {
  tag: string;
  hub: string;
  port: string;
  address: string;
  space: string | undefined;
}): void {
  const { tag, hub, port, address, space } = cable;
  const [here, there] = [`${tag}${port}`, `${tag}h${port}`];
  ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", hub);
  inside(hub, "link", "set", there, "master", "br0");
  inside(hub, "link", "set", there, "up");
  if (space) ip("link", "set", here, "netns", space);
  const within = space ? (...args: string[]) => inside(space, ...args) : ip;
  within("addr", "add", address, "dev", here);
  within("link", "set", here, "up");
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}

function inside(space: string, ...args: string[]): void {
  ip("-n", space, ...args);
}

function quietly(act: () => void): void {
  try {
    act();
  } catch {
    // It is not there.
  }
}
