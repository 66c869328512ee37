/** `understudy secrets`: the certificates and passwords of a Kubernetes deployment, as Secrets on standard output. */

import { isLabel } from "@understudy/model/names";
import type { Command } from "commander";
import { stringify } from "yaml";
import { CliError } from "../error.ts";
import type { Globals } from "../globals.ts";
import { makeSecrets, type SecretManifest } from "../secrets/secrets.ts";

type SecretsOptions = Globals & {
  readonly folder: string;
  readonly namespace: string;
  readonly application: readonly string[];
  readonly only: readonly string[];
};

const collect = (value: string, before: readonly string[]) => [...before, value];

export function addCommand(program: Command): void {
  program
    .command("secrets")
    .description("print certificates and passwords as Kubernetes Secrets")
    .requiredOption("--folder <dir>", "where the authority and the passwords are kept; made on first use")
    .option("--namespace <name>", "namespace of the Secrets", "understudy")
    .option("--application <resource>", "also a certificate for this resource's instances", collect, [])
    .option("--only <secret>", "only the Secret of this name; may be said again", collect, [])
    .action((_options, command: Command) => printSecrets(command.optsWithGlobals<SecretsOptions>()));
}

async function printSecrets(options: SecretsOptions): Promise<void> {
  const { folder, namespace, application: applications } = options;
  for (const name of [namespace, ...applications])
    if (!isLabel(name)) throw new CliError("invalid", `"${name}" is no name: a-z, 0-9 and -`);
  const made = await makeSecrets({ folder, namespace, applications });
  const chosen = choose(made, options.only);
  process.stdout.write(
    options.output === "json"
      ? `${JSON.stringify({ apiVersion: "v1", kind: "List", items: chosen })}\n`
      : chosen.map((secret) => `---\n${stringify(secret)}`).join(""),
  );
}

function choose(made: readonly SecretManifest[], only: readonly string[]): readonly SecretManifest[] {
  const names = made.map(({ metadata }) => metadata.name);
  const unknown = only.filter((name) => !names.includes(name));
  if (unknown.length > 0)
    throw new CliError("invalid", `no Secret ${unknown.join(", ")}: there are ${names.join(", ")}`);
  return only.length === 0 ? made : made.filter(({ metadata }) => only.includes(metadata.name));
}
