/**
 * `understudy discover`: containers with the label `understudy.enable=true` become resources. Prints the configuration that
 * a base file (pools, hosts, other resources) and they make together, or puts it in force.
 */

import { readFileSync, statSync } from "node:fs";
import { posix } from "node:path";
import { type Engine, openEngine } from "@understudy/resource/docker-engine";
import { isLabelled, type LabelledResource, resourceOfLabels } from "@understudy/resource/docker-labels";
import { mountOf } from "@understudy/resource/docker-spec";
import type { ContainerInspect } from "@understudy/resource/docker-types";
import { ResourceError } from "@understudy/resource/driver";
import { parseConfiguration } from "@understudy/service/configuration";
import { applyConfiguration } from "@understudy/service/configuration-apply";
import { formatMistake } from "@understudy/service/configuration-mistakes";
import type { Command } from "commander";
import { parse, stringify } from "yaml";
import { withConnection } from "../connect.ts";
import { CliError } from "../error.ts";
import { type Globals, print } from "../globals.ts";

const LABEL = "understudy.enable=true";

type Options = Globals & { readonly base: string; readonly socket: string; readonly apply: boolean };
type Base = {
  readonly resources?: readonly { readonly name: string }[];
  readonly pools?: readonly { readonly name: string }[];
};

export function addCommand(program: Command): void {
  program
    .command("discover")
    .description("make resources of labelled containers")
    .requiredOption("-b, --base <file>", "understudy.yaml with the pools, the hosts and any other resources")
    .option("--socket <path>", "of Docker or Podman", "/var/run/docker.sock")
    .option("--apply", "put what was found in force", false)
    .action((_options, command: Command) => discover(command.optsWithGlobals<Options>()));
}

async function discover(options: Options): Promise<void> {
  const base = (parse(readFileSync(options.base, "utf8")) ?? {}) as Base;
  const found = await findResources(openEngine(options.socket), base);
  const named = new Set(found.map(({ name }) => name));
  const others = (base.resources ?? []).filter(({ name }) => !named.has(name));
  const yaml = stringify({ ...base, resources: [...others, ...found] });
  const parsed = parseConfiguration(yaml, "labels");
  if (!parsed.ok) throw new CliError("invalid", parsed.mistakes.map(formatMistake).join("\n"));
  if (options.apply) await apply(options, yaml);
  const names = [...named].join(", ") || "none";
  print(options, {
    text: () => (options.apply ? `in force, with the labelled containers: ${names}` : yaml.trimEnd()),
    json: () => ({ ok: true, applied: options.apply, found: [...named], configuration: parse(yaml) }),
  });
}

async function apply(options: Options, yaml: string): Promise<void> {
  await withConnection(options, async (connection) => {
    const bus = await connection.bus();
    const outcome = await applyConfiguration(bus, { yaml, file: "labels", source: "cli", nowMs: Date.now() });
    if (!outcome.applied) throw new CliError("invalid", outcome.mistakes.map(formatMistake).join("\n"));
  });
}

async function findResources(engine: Engine, { pools = [] }: Base): Promise<LabelledResource[]> {
  try {
    const inspected = await Promise.all((await engine.listLabelled([LABEL])).map((id) => engine.inspect(id)));
    return inspected
      .filter((each) => each !== undefined)
      .filter((each) => each.State.Running && isLabelled(each))
      .map((each) =>
        resourceOfLabels(each, {
          pools: pools.map(({ name }) => name),
          isFile: (path) => isFile(each, path),
        }),
      );
  } catch (error) {
    if (error instanceof ResourceError) throw new CliError("failed", error.message, { cause: error });
    throw error;
  }
}

/** Looked at on this host; where it cannot be seen, a name with an ending is a file's. */
function isFile(inspect: ContainerInspect, path: string): boolean {
  const mount = mountOf(inspect, path);
  const host = mount?.Source && posix.join(mount.Source, posix.relative(mount.Destination, path));
  const stats = host ? statSync(host, { throwIfNoEntry: false }) : undefined;
  return stats ? stats.isFile() : posix.extname(path) !== "";
}
