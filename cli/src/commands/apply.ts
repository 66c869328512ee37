/** `understudy apply -f FILE`: puts a configuration in force, or says all that is wrong with it and changes nothing. */

import { parseConfiguration } from "@understudy/service/configuration";
import { applyConfiguration } from "@understudy/service/configuration-apply";
import { formatMistake, type Mistake } from "@understudy/service/configuration-mistakes";
import type { Command } from "commander";
import { withConnection } from "../connect.ts";
import { EXIT_CODES } from "../error.ts";
import { type Globals, print } from "../globals.ts";
import { readInput } from "../input.ts";

type ApplyOptions = Globals & { readonly file: string; readonly dryRun: boolean };

export function addCommand(program: Command): void {
  program
    .command("apply")
    .description("put a configuration in force")
    .requiredOption("-f, --file <file>", "understudy.yaml, or - for standard input")
    .option("--dry-run", "only check it", false)
    .action((_options, command: Command) => apply(command.optsWithGlobals<ApplyOptions>()));
}

async function apply(options: ApplyOptions): Promise<void> {
  const { name, text: yaml } = readInput(options.file);
  const parsed = parseConfiguration(yaml, name);
  if (!parsed.ok) return refuse(options, parsed.mistakes);
  const { resources, pools } = parsed.configuration;
  const content = `${resources.length} resources, ${pools.length} pools`;
  if (options.dryRun) {
    return print(options, {
      text: () => `${name} is good: ${content}`,
      json: () => ({ ok: true, applied: false }),
    });
  }
  await withConnection(options, async (connection) => {
    const bus = await connection.bus();
    const outcome = await applyConfiguration(bus, { yaml, file: name, source: "cli", nowMs: Date.now() });
    if (!outcome.applied) return refuse(options, outcome.mistakes);
    print(options, {
      text: () => `applied ${name} as revision ${outcome.revision}: ${content}`,
      json: () => ({ ok: true, applied: true, revision: outcome.revision }),
    });
  });
}

function refuse(options: ApplyOptions, mistakes: readonly Mistake[]): void {
  if (options.output === "json") process.stdout.write(`${JSON.stringify({ ok: false, mistakes })}\n`);
  else for (const mistake of mistakes) process.stderr.write(`${formatMistake(mistake)}\n`);
  process.stderr.write(`understudy: nothing was changed; mistakes: ${mistakes.length}\n`);
  process.exitCode = EXIT_CODES.invalid;
}
