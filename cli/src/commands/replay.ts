/**
 * `understudy replay FILE`: makes recorded decisions about shares again, under another policy or other settings, and shows
 * what would have been decided differently. The core of the balancer itself decides; nothing running is asked.
 */

import { fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { type Recorded, recordedFromWire } from "@understudy/balancer/inputs-from-wire";
import { type Change, type Replayed, replay } from "@understudy/balancer/replay";
import { ExplainResponseSchema } from "@understudy/wire/gen/control";
import { type WeightDecision, WeightDecisionSchema } from "@understudy/wire/gen/weight";
import { type Command, InvalidArgumentError, Option } from "commander";
import { CliError } from "../error.ts";
import { type Globals, percentOf, print, renderTable } from "../globals.ts";
import { type Input, readInput } from "../input.ts";

const READ_OPTIONS = { ignoreUnknownFields: true };
const NOBODY = "-";

type ReplayOptions = Globals & Change;

export function addCommand(program: Command): void {
  program
    .command("replay")
    .description("make recorded decisions about shares again under other settings, and show what differs")
    .argument("<file>", "what `explain -o json` printed, or - for standard input; one JSON object a line")
    .addOption(
      new Option("--policy <name>", "instead of the recorded one").choices([
        "predictive",
        "reactive",
        "static",
        "none",
      ]),
    )
    .option("--quantile <part>", "of the forecast, 0 to 1", parsePart)
    .option("--max-shadow-share <part>", "largest share of the reads that shadows take, 0 to 1", parsePart)
    .option("--max-staleness-ms <ms>", "a shadow that lags more takes no reads", parseMs)
    .addOption(
      new Option("--only-stale <rule>", "when only stale ones are left").choices(["refuse", "serve"]),
    )
    .action((file: string, _options, command: Command) =>
      replayFile(file, command.optsWithGlobals<ReplayOptions>()),
    );
}

function parsePart(text: string): number {
  const part = Number(text);
  if (text.trim() === "" || !(part >= 0 && part <= 1))
    throw new InvalidArgumentError("It must be a number from 0 to 1.");
  return part;
}

function parseMs(text: string): number {
  const ms = Number(text);
  if (text.trim() === "" || !(Number.isFinite(ms) && ms >= 0))
    throw new InvalidArgumentError("It must be a number of ms.");
  return ms;
}

function replayFile(file: string, options: ReplayOptions): void {
  const recording = readRecording(readInput(file));
  const change = changeOf(options);
  const replayed = replay(recording, change);
  print(options, {
    text: () => renderReplay(replayed, change),
    json: () => replayToJson(replayed, change),
  });
}

/** What was not asked for stays as it was recorded. */
function changeOf({ policy, quantile, maxShadowShare, maxStalenessMs, onlyStale }: ReplayOptions): Change {
  const all = { policy, quantile, maxShadowShare, maxStalenessMs, onlyStale };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Each line is an answer of `explain`, or one decision as it is on the bus. Throws a CliError that names the line. */
export function readRecording({ name, text }: Input): readonly Recorded[] {
  const found = text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    try {
      return decisionsOf(JSON.parse(line) as JsonValue).map(recordedFromWire);
    } catch (error) {
      const why = (error as Error).message;
      throw new CliError("invalid", `${name}:${index + 1}: no recorded decision: ${why}`, { cause: error });
    }
  });
  const recording = found.filter((one) => one !== undefined);
  const bare = found.length - recording.length;
  if (found.length === 0) throw new CliError("invalid", `${name} holds no decisions about shares`);
  if (bare > 0) {
    const which = `${bare} of ${found.length} decisions were recorded without what they were made from`;
    throw new CliError("invalid", `${name}: ${which}, by an older version: they cannot be made again`);
  }
  return recording;
}

function decisionsOf(json: JsonValue): readonly WeightDecision[] {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new RangeError("not a JSON object");
  if ("header" in json) return [fromJson(WeightDecisionSchema, json, READ_OPTIONS)];
  return fromJson(ExplainResponseSchema, json, READ_OPTIONS).weights;
}

export function renderReplay(replayed: readonly Replayed[], change: Change): string {
  const differing = replayed.filter(({ differs }) => differs);
  const foreign = replayed.filter(({ reproduced }) => !reproduced).length;
  const settings = Object.entries(change).map(([name, value]) => `${name}=${value}`);
  const under = settings.length > 0 ? settings.join("  ") : "the settings they were made with";
  return [
    ...differing.map(renderDifference),
    `${replayed.length} decisions made again under ${under}: ${differing.length} differ`,
    ...(foreign > 0
      ? [`${foreign} do not come out as recorded even under their own settings: another version made them`]
      : []),
  ].join("\n\n");
}

function renderDifference({ recorded, readPpm, reason }: Replayed): string {
  const { resource, revision, epoch } = recorded;
  const names = [...new Set([...recorded.readPpm.keys(), ...readPpm.keys()])];
  const shareIn = (shares: ReadonlyMap<string, number>, name: string) => {
    const ppm = shares.get(name);
    return ppm === undefined ? NOBODY : percentOf(ppm);
  };
  const rows = names.map((name) => [name, shareIn(recorded.readPpm, name), shareIn(readPpm, name)]);
  const table = renderTable([["INSTANCE", "RECORDED", "REPLAYED"], ...rows]).replace(/^/gm, "  ");
  return `${new Date(recorded.decidedAtMs).toISOString()}  ${resource}, revision ${revision}, epoch ${epoch}
${table}
  recorded because ${recorded.text} [${recorded.rule}]
  replayed because ${reason.text} [${reason.rule}]`;
}

export function replayToJson(replayed: readonly Replayed[], change: Change): JsonObject {
  const differing = replayed.filter(({ differs }) => differs);
  return {
    replayed: replayed.length,
    reproduced: replayed.filter(({ reproduced }) => reproduced).length,
    settings: { ...change },
    differing: differing.map(({ recorded, readPpm, reason }) => ({
      resource: recorded.resource,
      revision: recorded.revision,
      epoch: recorded.epoch,
      decidedAtMs: recorded.decidedAtMs,
      recorded: {
        rule: recorded.rule,
        text: recorded.text,
        readPpm: Object.fromEntries(recorded.readPpm),
      },
      replayed: { rule: reason.rule, text: reason.text, readPpm: Object.fromEntries(readPpm) },
    })),
  };
}
