/**
 * Shows a running demo: in a terminal a picture that is drawn over itself, otherwise a line every few seconds and each
 * event once. Whatever happens, the terminal is given back as it was.
 */

import type { WriteStream } from "node:tty";
import { clockTime, coloured, plain, renderFrame, type Scene, type Stage, stageProgress } from "./frame.ts";

const FRAME_EVERY_MS = 125;
const LINE_EVERY_MS = 5_000;
const SIZE_DEFAULT = { columns: 80, rows: 24 };

const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

export type View = {
  /** A sentence about what goes on outside of the load. */
  say(text: string): void;
  /** Ends the picture; what was said stays readable. */
  close(): void;
};

export function openView(options: {
  readonly out: WriteStream;
  readonly scene: () => Scene;
  readonly live: boolean;
  readonly colour: boolean;
}): View {
  return options.live ? openPicture(options) : openLines(options);
}

function openPicture({
  out,
  scene,
  colour,
}: {
  out: WriteStream;
  scene: () => Scene;
  colour: boolean;
}): View {
  let closed = false;
  const said: string[] = [];
  const close = () => {
    if (closed) return;
    closed = true;
    clearInterval(timer);
    process.off("exit", close);
    out.write(LEAVE);
    for (const text of said) out.write(`${text}\n`);
  };
  const paint = colour ? coloured : plain;
  const draw = () => {
    const size = { columns: out.columns || SIZE_DEFAULT.columns, rows: out.rows || SIZE_DEFAULT.rows };
    const lines = renderFrame(scene(), size, paint);
    const last = said.at(-1);
    if (last && lines.length < size.rows - 2) lines.push("", ` ${last.slice(0, size.columns - 2)}`);
    out.write(`${HOME}${lines.map((line) => `${line}${CLEAR_LINE}`).join("\n")}${CLEAR_BELOW}`);
  };
  out.write(ENTER);
  process.on("exit", close);
  const timer = setInterval(draw, FRAME_EVERY_MS);
  return { say: (text) => void said.push(text), close };
}

function openLines({ out, scene }: { out: WriteStream; scene: () => Scene }): View {
  let stage: Stage | undefined;
  let eventsShown = 0;
  let lineAtMs = 0;
  const tick = () => {
    const now = scene();
    for (const event of now.observed.events.filter(({ atMs }) => atMs > eventsShown)) {
      out.write(`${clockTime(event.atMs)}  ${event.what}: ${event.text}\n`);
      eventsShown = event.atMs;
    }
    if (now.stage === stage && now.nowMs - lineAtMs < LINE_EVERY_MS) return;
    if (now.loadStartedAtMs !== undefined) out.write(`${lineOf(now)}\n`);
    stage = now.stage;
    lineAtMs = now.nowMs;
  };
  const timer = setInterval(tick, 500);
  return {
    say: (text) => void out.write(`${text}\n`),
    close: () => clearInterval(timer),
  };
}

/** The picture in one line. */
export function lineOf(scene: Scene): string {
  const { observed, progress, stage } = scene;
  const { inMs, ofMs } = stageProgress(scene);
  const clock = ofMs === 0 ? "" : ` ${Math.round(inMs / 1000)}/${Math.round(ofMs / 1000)} s`;
  const shares = observed.shares.at(-1)?.readPpm ?? {};
  const roles = observed.roles.at(-1)?.roles;
  const instances = (roles?.instances ?? []).map((instance) => {
    const percent = ((shares[instance.name] ?? 0) / 10_000).toFixed(0);
    return `${instance.name}${instance.name === roles?.primary ? "*" : ""} ${percent}%`;
  });
  const demand = observed.demand.at(-1);
  const high = observed.forecasts.at(-1)?.highRps;
  return [
    `${clockTime(scene.nowMs)}  ${scene.policy} ${stage}${clock}`,
    `demand ${demand ? Math.round(demand.rps) : "-"}/s${observed.forecastReady && high ? `, soon <= ${Math.round(high)}` : ""}`,
    instances.join(" ") || "no instances yet",
    progress
      ? `p50 ${progress.p50Ms.toFixed(0)} p99 ${progress.p99Ms.toFixed(0)} ms, failed ${progress.failed}`
      : "",
  ].join(" | ");
}
