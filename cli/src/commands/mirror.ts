/**
 * `understudy mirror SOURCE HOST:FOLDER` keeps a folder on another machine equal to one here, and `understudy mirror --listen
 * FOLDER` is its other side. The mirror's engine alone: no replicator, no store, no bus.
 */

import { resolve } from "node:path";
import { EXCLUDES_MAX } from "@understudy/mirror/exclude";
import { parseToken } from "@understudy/service/enrolment-token";
import type { TlsMaterial } from "@understudy/service/tls";
import { type Command, InvalidArgumentError, Option } from "commander";
import { CliError } from "../error.ts";
import type { Globals } from "../globals.ts";
import { readPairing, stateFolder } from "../mirror/pairings.ts";
import {
  type ListenAt,
  parseDscp,
  parseListen,
  parsePort,
  parseRate,
  parseRemote,
  type Remote,
} from "../mirror/place.ts";
import { type ReceiveEvent, receive } from "../mirror/receive.ts";
import { type RemoteReceiver, startRemoteReceiver } from "../mirror/remote-receiver.ts";
import { complain, openScreen, printJson } from "../mirror/screen.ts";
import { preview, type SendOptions, send } from "../mirror/send.ts";
import { pair } from "../mirror/session.ts";

const PORT = 7440;
const EVERYWHERE: ListenAt = { host: "0.0.0.0", port: PORT };
/** As a shell reports a program that was ended by Ctrl-C. */
const INTERRUPTED = 130;

type Options = Globals & {
  readonly listen?: string | true;
  readonly token?: string;
  readonly tokenMinutes: number;
  readonly once: boolean;
  readonly path: readonly string[];
  readonly exclude: readonly string[];
  readonly dryRun: boolean;
  readonly consistency: "none" | "sqlite";
  readonly limit?: number;
  readonly dscp?: number;
  readonly port: number;
  readonly rsh?: string;
  readonly remoteProgram: string;
  readonly json: boolean;
  readonly untilEof: boolean;
};

export function addCommand(program: Command): void {
  program
    .command("mirror")
    .description("keep a folder on another machine equal to one here, by changed blocks, each file whole")
    .argument("[source]", "folder to mirror; with --listen not given")
    .argument("[destination]", "HOST:FOLDER; with --listen the folder that takes copies")
    .option(
      "--listen [address]",
      `take copies here, at host:port or port and the port after it (default: ${PORT})`,
    )
    .option("--token <token>", "pair with a receiver by the token that it printed; once is enough")
    .option("--token-minutes <minutes>", "how long the token that is printed may be used", parseMinutes, 10)
    .option("--once", "end when everything is there", false)
    .option("--path <path>", "only this path of the source; may be given again", collect, [])
    .option(
      "--exclude <glob>",
      "leave out: a name at any depth, or with a slash a path of the source; may be given again",
      collect,
      [],
    )
    .option("--dry-run", "say what would be sent and removed, and send nothing", false)
    .addOption(
      new Option(
        "--consistency <kind>",
        "how a consistent view is captured: --path names databases for sqlite",
      )
        .choices(["none", "sqlite"])
        .default("none"),
    )
    .option("--limit <rate>", "send no faster than this, for example 20MB or 100Mbit", parseRate)
    .option("--dscp <code>", "services code point of the packets, for example cs1", parseDscp)
    .option("--port <port>", "where the receiver listens", parsePort, PORT)
    .option("-e, --rsh <command>", "start the receiver on HOST by this remote shell, for example ssh")
    .option("--remote-program <command>", "how understudy is called there", "understudy")
    .option("--json", "print events as JSON, a line each", false)
    .option("--until-eof", "end when standard input does", false)
    .action((source: string | undefined, destination: string | undefined, _options, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      return mirror([source, destination], { ...options, json: options.json || options.output === "json" });
    });
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function parseMinutes(text: string): number {
  const minutes = Number(text);
  if (minutes > 0 && minutes <= 1440) return minutes;
  throw new InvalidArgumentError("It must be a number of minutes, at most 1440.");
}

async function mirror(given: readonly (string | undefined)[], options: Options): Promise<void> {
  const places = given.filter((place) => place !== undefined);
  if (options.listen !== undefined) return listen(places, options);
  const [source, destination] = places;
  const remote = destination === undefined ? undefined : parseRemote(destination);
  if (source === undefined || !remote)
    throw new CliError("invalid", "say what and where to: understudy mirror SOURCE HOST:FOLDER");
  if (parseRemote(source))
    throw new CliError(
      "invalid",
      `${source} is on another machine: run this command there, with this one as HOST:FOLDER`,
    );
  if (options.consistency === "sqlite" && options.path.length === 0)
    throw new CliError("invalid", "--consistency sqlite needs the databases: --path catalog.db");
  if (options.consistency === "sqlite" && options.exclude.length > 0)
    throw new CliError(
      "invalid",
      "--exclude is for files: with --consistency sqlite only --path is mirrored",
    );
  if (options.exclude.length > EXCLUDES_MAX)
    throw new CliError("invalid", `--exclude may be given ${EXCLUDES_MAX} times`);
  const stop = stopSignal(options);
  const started = options.rsh ? await startReceiver(options.rsh, { remote, options }) : undefined;
  try {
    await sendTo(source, { remote, started, options, signal: stop.signal });
  } finally {
    await started?.close();
  }
}

function startReceiver(shell: string, { remote, options }: { remote: Remote; options: Options }) {
  return startRemoteReceiver({ shell, program: options.remoteProgram, remote });
}

async function sendTo(
  source: string,
  parts: { remote: Remote; started: RemoteReceiver | undefined; options: Options; signal: AbortSignal },
): Promise<void> {
  const { remote, started, options, signal } = parts;
  const folder = stateFolder(process.env);
  const host = remote.host.replace(/^.*@/, "");
  const token = started?.token ?? options.token;
  const address = `${host}:${started?.port ?? portOf(token) ?? options.port}`;
  const tls = await tlsFor(address, { token, folder, host });
  const screen = openScreen(options.json);
  const wanted: SendOptions = {
    ...options,
    paths: options.path.length === 0 ? ["."] : options.path,
    source,
    address,
    // A receiver that we start ourselves has no other folder than this.
    folder: started ? "." : remote.folder,
    tls,
    stateFolder: folder,
    signal,
    onSeen: screen.seen,
    onError: screen.problem,
  };
  if (options.dryRun) return screen.planned(await preview(wanted));
  const result = await send(wanted).finally(screen.end);
  screen.result(result);
  if (options.once && !result.equal) process.exitCode = INTERRUPTED;
}

function portOf(token: string | undefined): number | undefined {
  const parsed = token === undefined ? undefined : parseToken(token);
  return parsed && Number(parsed.address.slice(parsed.address.lastIndexOf(":") + 1));
}

async function tlsFor(
  address: string,
  { token, folder, host }: { token: string | undefined; folder: string; host: string },
): Promise<TlsMaterial> {
  if (token !== undefined) {
    const parsed = parseToken(token);
    if (!parsed) throw new CliError("invalid", "--token is not what a receiver prints: was it cut off?");
    return pair({ address, token: parsed, stateFolder: folder });
  }
  const known = readPairing(folder, address);
  if (known) return known;
  throw new CliError(
    "failed",
    `this machine is not paired with ${address}: run \`understudy mirror --listen FOLDER\` on ${host} and give the token it ` +
      `prints with --token, or let it be started with --rsh ssh`,
  );
}

async function listen(places: readonly string[], options: Options): Promise<void> {
  const { at, root } = whereToListen(places, options.listen!);
  const stop = stopSignal(options);
  const say = options.json ? (event: ReceiveEvent) => printJson(event) : sayReceived(root);
  const problem = (error: Error) => complain(options.json, error);
  const receiver = await receive({
    root,
    listen: at,
    stateFolder: stateFolder(process.env),
    tokenMs: options.tokenMinutes * 60_000,
    say,
    onError: problem,
  }).catch((error: NodeJS.ErrnoException) => {
    const remedy =
      error.code === "EADDRINUSE" ? ": is a receiver running already? --listen PORT names another" : "";
    throw new CliError("failed", `cannot listen at ${at.host}:${at.port}: ${error.message}${remedy}`, {
      cause: error,
    });
  });
  if (!stop.signal.aborted)
    await new Promise<void>((done) => stop.signal.addEventListener("abort", () => done(), { once: true }));
  await receiver.close();
}

function whereToListen(places: readonly string[], given: string | true): { at: ListenAt; root: string } {
  // In `--listen FOLDER` the folder stands where an address may stand.
  const [folders, address]: [readonly string[], string | true] =
    given === true || places.length > 0 ? [places, given] : [[given], true];
  const [root] = folders;
  if (root === undefined || folders.length > 1)
    throw new CliError("invalid", "say which one folder takes the copies: understudy mirror --listen FOLDER");
  if (address === true) return { at: EVERYWHERE, root: resolve(root) };
  try {
    return { at: parseListen(address, EVERYWHERE), root: resolve(root) };
  } catch (error) {
    throw new CliError("invalid", `--listen "${address}": ${(error as Error).message}`, { cause: error });
  }
}

/** The first Ctrl-C ends it in order, a second one at once. */
function stopSignal({ untilEof }: Options): AbortController {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => (stop.signal.aborted ? process.exit(INTERRUPTED) : stop.abort()));
  if (untilEof) process.stdin.resume().on("end", () => stop.abort());
  return stop;
}

function sayReceived(root: string): (event: ReceiveEvent) => void {
  return (event) => {
    const print = (text: string) => void process.stdout.write(`${text}\n`);
    switch (event.event) {
      case "listening": {
        const minutes = Math.round((event.expiresAtMs - Date.now()) / 60_000);
        print(
          `taking copies in ${root} at port ${event.port} and the next; to pair a sender, within ${minutes} min:\n`,
        );
        return print(`  understudy mirror SOURCE THIS-HOST:. --token ${event.token}\n`);
      }
      case "paired":
        return print(`paired with ${event.name}; it needs no token any more`);
      case "opened":
        return print(`${event.folder}: ${event.from} begins to fill it`);
      case "closed":
        return print(`${event.folder}: ${event.from} has ended`);
    }
  };
}
