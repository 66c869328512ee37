/** `understudy demo`: sets everything up, runs the main job, ends with a report. Options here, the demo itself in ../demo. */

import { type Command, InvalidArgumentError, Option } from "commander";
import type { DemoOptions } from "../demo/demo.ts";
import type { DemandOptions } from "../demo/plan.ts";
import { CliError } from "../error.ts";

export type DemoPolicy = "predictive" | "reactive" | "static" | "none";

type Flags = {
  readonly policy: DemoPolicy;
  readonly compare: boolean;
  readonly duration: number;
  readonly seed: number;
  readonly rate?: number;
  readonly driver: "process" | "docker";
  readonly image?: string;
  readonly demand: DemandOptions["demand"];
  readonly jitter: number;
  readonly trace: string;
  readonly speed: number;
  readonly keep: boolean;
  readonly json: boolean;
};

const MS = 1000;
const COMPARED: readonly DemoPolicy[] = ["predictive", "reactive", "static"];

export function addCommand(program: Command): void {
  program
    .command("demo")
    .description("set everything up, run the main job, end with a report")
    .addOption(
      new Option("--policy <name>")
        .choices(["predictive", "reactive", "static", "none"])
        .default("predictive"),
    )
    .option("--compare", "predictive, reactive and static, one after the other on the same arrivals", false)
    .addOption(new Option("--demand <curve>").choices(["bursts", "ramp", "steps"]).default("bursts"))
    .option("--duration <seconds>", "learning and scored part together", positive, 180)
    .option("--seed <number>", "same seed, same arrivals", natural, 1)
    .option(
      "--rate <requests>",
      "requests per second that one instance can do (200, a container 100)",
      positive,
    )
    .option("--jitter <seconds>", "how irregular the bursts come", notNegative, 0.3)
    .option("--trace <file>", "replay a CSV file (time in s, value) instead of a made demand", "")
    .option("--speed <factor>", "how much faster than it was recorded", positive, 1)
    .addOption(
      new Option("--driver <kind>", "what an instance is: a process, or a container under a processor quota")
        .choices(["process", "docker"])
        .default("process"),
    )
    .option("--image <name>", "of the example service, with --driver docker (understudy-example-catalog)")
    .option("--keep", "leave everything running and say how to look at it", false)
    .option("--json", "one JSON object as the last line", false)
    .action(async (flags: Flags) => {
      const { runDemo } = await import("../demo/demo.ts");
      process.exitCode = await runDemo(optionsOf(flags));
    });
}

const RATES = { process: 200, docker: 100 } as const;
const IMAGE = "understudy-example-catalog";

function optionsOf(flags: Flags): DemoOptions {
  const { driver, image } = flags;
  if (driver === "process" && image !== undefined)
    throw new CliError("invalid", "--image is of containers: say --driver docker as well");
  return {
    image: driver === "docker" ? (image ?? IMAGE) : undefined,
    policies: flags.compare ? COMPARED : [flags.policy],
    demand: flags.demand,
    traceFile: flags.trace,
    speed: flags.speed,
    seed: flags.seed,
    jitterMs: flags.jitter * MS,
    ratePerUnit: flags.rate ?? RATES[driver],
    durationMs: flags.duration * MS,
    keep: flags.keep,
    json: flags.json,
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Number.POSITIVE_INFINITY))
    throw new InvalidArgumentError("It must be a number above 0.");
  return value;
}

function notNegative(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value < Number.POSITIVE_INFINITY))
    throw new InvalidArgumentError("It must be a number, 0 or more.");
  return value;
}

function natural(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError("It must be a whole number, 0 or more.");
  return value;
}
