/**
 * `understudy join TOKEN` makes this machine a host: a key of its own, certified by the authority that the token names, and the
 * settings its replicator starts with.
 */

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join as joinPath, resolve } from "node:path";
import { parseEndpoint } from "@understudy/model/endpoint";
import { EnrolmentError, join } from "@understudy/service/enrolment-client";
import { parseToken } from "@understudy/service/enrolment-token";
import { writeTls } from "@understudy/service/tls";
import { type Command, InvalidArgumentError } from "commander";
import { CliError } from "../error.ts";
import { type Globals, print } from "../globals.ts";

type JoinOptions = Globals & {
  readonly control: string;
  readonly data: string;
  readonly dir: string;
  readonly via?: string;
};

export function addCommand(program: Command): void {
  program
    .command("join")
    .description("make this machine a host that keeps shadows")
    .argument("<token>", "as `understudy host add NAME` printed it")
    .requiredOption("--control <address>", "host:port at which its replicator will answer gRPC", parseAddress)
    .requiredOption(
      "--data <address>",
      "host:port at which its replicator will take mirror data",
      parseAddress,
    )
    .option("--dir <folder>", "where key, certificate and settings go", "understudy-host")
    .option("--via <address>", "ask there instead of where the token says", parseAddress)
    .action((token: string, _options, command: Command) =>
      joinHost(token, command.optsWithGlobals<JoinOptions>()),
    );
}

function parseAddress(text: string): string {
  if (parseEndpoint(text)) return text;
  throw new InvalidArgumentError("It must be host:port.");
}

async function joinHost(text: string, options: JoinOptions): Promise<void> {
  const { control, data, via } = options;
  const token = parseToken(text);
  if (!token) throw new CliError("invalid", "this is no token of `understudy host add`: was it cut off?");
  const dir = resolve(options.dir);
  if (existsSync(joinPath(dir, "tls", "tls.key")))
    throw new CliError("failed", `${dir} holds the key of a host already: name another folder with --dir`);
  const address = via ?? token.address;
  const joined = await join({ address, token, name: "host", about: { control, data } }).catch((error) => {
    if (!(error instanceof EnrolmentError)) throw error;
    const remedy = error.code === "unreachable" ? ": name another way to it with --via HOST:PORT" : "";
    throw new CliError("failed", `${error.message}${remedy}`, { cause: error });
  });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeTls(joinPath(dir, "tls"), joined.tls);
  const settings = settingsOf({ ...joined.told, ...ownSettings(dir, control) });
  writeFileSync(joinPath(dir, "replicator.env"), settings, { mode: 0o600 });
  const name = joined.told.UNDERSTUDY_HOST ?? "";
  const line = `  - { name: ${name}, control: "${control}", data: "${data}" }`;
  print(options, {
    text: () => `this machine is ${name} now; its replicator starts with the settings in ${dir}/replicator.env
add to hosts: of understudy.yaml and apply it:

${line}`,
    json: () => ({ name, control, data, dir }),
  });
}

function ownSettings(dir: string, control: string): Readonly<Record<string, string>> {
  return {
    UNDERSTUDY_TLS_DIR: joinPath(dir, "tls"),
    UNDERSTUDY_DATA_DIR: joinPath(dir, "data"),
    UNDERSTUDY_GRPC_LISTEN: control,
  };
}

/** As systemd's EnvironmentFile and docker's --env-file read it: no quotes, one a line. */
function settingsOf(settings: Readonly<Record<string, string>>): string {
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value.replaceAll(/[\r\n]/g, "")}`);
  return `${lines.join("\n")}\n`;
}
