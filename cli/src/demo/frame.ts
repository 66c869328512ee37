/** One picture of a running demo as lines of text: pure, so that it can be tested and looked at without a terminal. */

import type { Instance } from "@understudy/model/instance";
import { PPM } from "@understudy/model/share";
import { ReplicationPhase } from "@understudy/wire/gen/replication";
import { chart, type Paint } from "./chart.ts";
import type { Phases } from "./demand.ts";
import type { Observed, Saying } from "./observe.ts";
import type { LoadProgress } from "./records.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape that begins a colour is what it looks for
const TOKENS = /\u001b\[\d+m|./gu;

export type Stage = "setting up" | "learning" | "scored" | "failover" | "checking";

export type Scene = {
  readonly nowMs: number;
  readonly policy: string;
  readonly seed: number;
  readonly phases: Phases;
  /** Wall clock; undefined before the load starts. */
  readonly loadStartedAtMs: number | undefined;
  readonly stage: Stage;
  readonly progress: LoadProgress | undefined;
  readonly observed: Observed;
};

export type FrameSize = { readonly columns: number; readonly rows: number };

const CHART_ROWS = { small: 4, large: 8 } as const;
const LARGE_FROM_ROWS = 36;
const DECISIONS = 4;
const EVENTS = 4;
const BAR_WIDTH = 20;

export const plain: Paint = (_, text) => text;

const COLOURS = { dim: 2, bold: 1, cyan: 36, green: 32, yellow: 33, red: 31, magenta: 35 } as const;
export const coloured: Paint = (colour, text) => `\u001b[${COLOURS[colour]}m${text}\u001b[0m`;

export function renderFrame(scene: Scene, { columns, rows }: FrameSize, paint: Paint): string[] {
  const width = Math.min(columns, 120) - 2;
  const chartRows = rows >= LARGE_FROM_ROWS ? CHART_ROWS.large : CHART_ROWS.small;
  const lines = [
    heading(scene, width, paint),
    "",
    ...demandLines(scene, { width, chartRows, paint }),
    "",
    ...instanceLines(scene, paint),
    "",
    clientLine(scene, paint),
    "",
    ...sayings("decisions", scene.observed.decisions.slice(-DECISIONS), { width, paint }),
    ...sayings("events", scene.observed.events.slice(-EVENTS), { width, paint }),
  ];
  return lines.slice(0, rows - 1).map((line) => ` ${clip(line, columns - 2)}`);
}

/** Cuts to a visible width; colours take no room, and one that was begun is ended. */
export function clip(line: string, width: number): string {
  let visible = 0;
  let kept = "";
  for (const [token] of line.matchAll(TOKENS)) {
    if (token.length > 1 && token.startsWith("\u001b")) kept += token;
    else if (visible < width) {
      kept += token;
      visible += 1;
    }
  }
  return kept;
}

/** Time into the present stage and its length, in ms. */
export function stageProgress({ stage, phases, loadStartedAtMs, nowMs }: Scene): {
  inMs: number;
  ofMs: number;
} {
  const sinceMs = loadStartedAtMs === undefined ? 0 : nowMs - loadStartedAtMs;
  switch (stage) {
    case "setting up":
    case "checking":
      return { inMs: 0, ofMs: 0 };
    case "learning":
      return { inMs: sinceMs, ofMs: phases.learningMs };
    case "scored":
      return { inMs: sinceMs - phases.learningMs, ofMs: phases.scoredMs };
    case "failover":
      return { inMs: sinceMs - phases.learningMs - phases.scoredMs, ofMs: phases.failoverMs };
  }
}

const STAGE_NOTES: Record<Stage, string> = {
  "setting up": "",
  learning: "nothing counts yet",
  scored: "overload and cost count",
  failover: "the primary is killed",
  checking: "looking for lost writes",
};

function heading(scene: Scene, width: number, paint: Paint): string {
  const left = `understudy demo · ${scene.policy} · seed ${scene.seed}`;
  const { inMs, ofMs } = stageProgress(scene);
  const clock =
    ofMs === 0 ? "" : ` ${seconds(Math.min(inMs, ofMs))} of ${seconds(ofMs)} s ${bar(inMs / ofMs, 16)}`;
  const note = STAGE_NOTES[scene.stage] && width > 90 ? ` (${STAGE_NOTES[scene.stage]})` : "";
  const right = `${scene.stage}${note}${clock}`;
  const gap = Math.max(1, width - left.length - right.length);
  const colour = scene.stage === "failover" ? "red" : scene.stage === "scored" ? "green" : "yellow";
  return `${paint("bold", left)}${" ".repeat(gap)}${paint(colour, right)}`;
}

function demandLines(
  { observed, nowMs }: Scene,
  { width, chartRows, paint }: { width: number; chartRows: number; paint: Paint },
): string[] {
  const now = observed.demand.at(-1);
  const furthest = observed.forecasts.at(-1);
  const parts = [`demand ${now ? Math.round(now.rps) : "-"} requests/s`];
  if (Number.isFinite(observed.instanceRps)) {
    const binds = observed.bindingSignal ? `, ${observed.bindingSignal} binds` : "";
    parts.push(`an instance carries ${Math.round(observed.instanceRps)}${binds}`);
  }
  if (furthest && observed.forecastReady) {
    parts.push(`in ${seconds(furthest.aheadMs)} s at most ${Math.round(furthest.highRps)} (95 %)`);
  } else parts.push("no forecast yet");
  const legend = "█ demand  ─ capacity in force  ▒ forecast  ░ its 95 % band";
  return [
    parts.join(" · "),
    ...chart(observed, { nowMs, width, height: chartRows, paint }),
    paint("dim", legend.slice(0, width)),
  ];
}

function instanceLines({ observed }: Scene, paint: Paint): string[] {
  const roles = observed.roles.at(-1)?.roles;
  const header = paint(
    "dim",
    `${"instance".padEnd(14)}${"role".padEnd(9)}${"state".padEnd(15)}${"share of reads".padEnd(28)}${"lag".padEnd(10)}health`,
  );
  const instances = (roles?.instances ?? []).filter((instance) => instance.phase !== "gone");
  return [header, ...instances.map((instance) => instanceLine(instance, observed, paint))];
}

function instanceLine(instance: Instance, observed: Observed, paint: Paint): string {
  const share = (observed.shares.at(-1)?.readPpm[instance.name] ?? 0) / PPM;
  const mirrored = observed.mirrored.get(instance.name);
  const verdict = observed.verdicts.get(instance.name);
  const isPrimary = instance.role === "primary";
  const known = verdict && verdict.incarnation === instance.incarnation ? verdict.state : "-";
  const healthColour =
    known === "up" ? "green" : known === "suspect" ? "yellow" : known === "down" ? "red" : "dim";
  const lag =
    isPrimary || !mirrored
      ? ""
      : mirrored.phase === ReplicationPhase.SEEDING
        ? ""
        : milliseconds(mirrored.lagMs);
  return [
    instance.name.padEnd(14),
    paint(isPrimary ? "bold" : "dim", instance.role.padEnd(9)),
    stateOf(instance, mirrored).padEnd(15),
    paint("cyan", bar(share, BAR_WIDTH)),
    `${(share * 100).toFixed(0).padStart(4)} %`.padEnd(8),
    lag.padEnd(10),
    paint(healthColour, known),
  ].join("");
}

function stateOf(
  instance: Instance,
  mirrored: { phase: ReplicationPhase; seedPart: number; inSync: boolean } | undefined,
): string {
  if (instance.phase === "seeding" && mirrored) return `seeding ${Math.round(mirrored.seedPart * 100)} %`;
  if (instance.phase === "serving" && instance.role === "shadow" && mirrored?.inSync === false)
    return "behind";
  return instance.phase;
}

function clientLine({ progress }: Scene, paint: Paint): string {
  if (!progress) return paint("dim", "client: not started");
  const failed = `failed ${progress.failed}`;
  return [
    `client ${progress.ratePerSecond}/s`,
    `p50 ${milliseconds(progress.p50Ms)}`,
    paint(progress.p99Ms > 200 ? "red" : "green", `p99 ${milliseconds(progress.p99Ms)}`),
    progress.failed > 0 ? paint("red", failed) : failed,
    `in flight ${progress.inFlight}`,
    `sent ${progress.sent}`,
  ].join("   ");
}

function sayings(
  title: string,
  list: readonly Saying[],
  { width, paint }: { width: number; paint: Paint },
): string[] {
  if (list.length === 0) return [];
  const lines = list.toReversed().map(({ atMs, what, text }) => {
    const head = `${clockTime(atMs)} ${what.padEnd(18)} `;
    return `${paint("dim", head)}${text.slice(0, Math.max(0, width - head.length))}`;
  });
  return [paint("dim", title), ...lines];
}

function bar(part: number, width: number): string {
  const filled = Math.round(Math.max(0, Math.min(1, part)) * width);
  return "█".repeat(filled) + "·".repeat(width - filled);
}

export function clockTime(atMs: number): string {
  return new Date(atMs).toTimeString().slice(0, 8);
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(0);
}

function milliseconds(ms: number): string {
  return Number.isFinite(ms) ? `${ms.toFixed(0)} ms` : "-";
}
