/**
 * `understudy demo`: the main job on this machine, with everything real: one policy, or three on the same arrivals. Ends
 * with a report; whatever happens, nothing is left running unless it was asked to be kept.
 */

import { CliError } from "../error.ts";
import type { Policy } from "./configuration.ts";
import type { Scene } from "./frame.ts";
import { type FinishedRun, runPolicy } from "./one-run.ts";
import { type DemandOptions, planLoad } from "./plan.ts";
import type { PolicyReport } from "./report.ts";
import { renderTable } from "./table.ts";
import { openView, type View } from "./view.ts";

export type DemoOptions = DemandOptions & {
  /** One after the other on the same arrivals. */
  readonly policies: readonly Policy[];
  /** Of the example service, for instances that are containers; undefined: they are processes. */
  readonly image: string | undefined;
  /** Leave everything running and say how to look at it. */
  readonly keep: boolean;
  /** One JSON object as the last line of standard output. */
  readonly json: boolean;
};

export const EXIT_INVALID_RUN = 3;
const EXIT_INTERRUPTED = 130;

/** Resolves with the exit code: 0, 3 when the machine was too busy for a valid run, 130 when it was interrupted. */
export async function runDemo(options: DemoOptions): Promise<number> {
  checkDemand(options);
  const stop = new AbortController();
  const interrupt = () => stop.abort(new Error("interrupted"));
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, interrupt);
  const reports: Record<string, PolicyReport> = {};
  try {
    for (const policy of options.policies) {
      const isLast = policy === options.policies.at(-1);
      reports[policy] = await runShown(options, {
        policy,
        keep: options.keep && isLast,
        signal: stop.signal,
      });
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    return EXIT_INTERRUPTED;
  } finally {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(name, interrupt);
  }
  return showReports(options, reports);
}

async function runShown(
  options: DemoOptions,
  { policy, keep, signal }: { policy: Policy; keep: boolean; signal: AbortSignal },
): Promise<PolicyReport> {
  const out = options.json ? process.stderr : process.stdout;
  let scene: (() => Scene) | undefined;
  let view: View | undefined;
  const say = (text: string) => (view ? view.say(text) : void out.write(`${text}\n`));
  try {
    const finished = await runPolicy({
      policy,
      demand: options,
      image: options.image,
      signal,
      say,
      onScene: (of) => {
        scene = of;
        view = openView({
          out,
          scene,
          live: out.isTTY === true,
          colour: out.isTTY === true && out.hasColors(),
        });
      },
    });
    view?.close();
    if (keep) await keepRunning(finished, out);
    else await finished.stack.close();
    return finished.report;
  } finally {
    view?.close();
  }
}

/** Throws CliError "invalid" with what is wrong. */
function checkDemand(demand: DemandOptions): void {
  try {
    planLoad(demand);
  } catch (error) {
    if (error instanceof RangeError) throw new CliError("invalid", error.message, { cause: error });
    throw error;
  }
}

async function keepRunning({ stack }: FinishedRun, out: NodeJS.WritableStream): Promise<void> {
  const { cluster, frontendPort, run } = stack;
  await stack.keep();
  const subscriber = cluster.nats.credentials("subscriber");
  out.write(
    [
      "",
      `everything is left running, in ${run.folder}`,
      `  the catalogue        curl http://127.0.0.1:${frontendPort}/products/1`,
      "  who is what          ./understudy status",
      "  why                  ./understudy explain catalog",
      `  what is said         NATS_URL=${cluster.nats.url} NATS_USER=${subscriber.user} NATS_PASSWORD_FILE=${subscriber.passwordFile} node_modules/.bin/node examples/subscriber/src/main.ts`,
      "  end it               ./understudy stop",
      "",
    ].join("\n"),
  );
}

function showReports(options: DemoOptions, reports: Readonly<Record<string, PolicyReport>>): number {
  const out = options.json ? process.stderr : process.stdout;
  const valid = Object.values(reports).every((report) => report.valid);
  out.write(`\n${renderTable(reports)}\n`);
  if (!valid) {
    out.write(
      "\nnot valid: the machine was busy (stolen time or other load above 20 %, or a load generator later than 5 ms at p99).\n",
    );
  }
  if (options.json)
    process.stdout.write(`${JSON.stringify({ valid, seed: options.seed, policies: reports })}\n`);
  return valid ? 0 : EXIT_INVALID_RUN;
}
