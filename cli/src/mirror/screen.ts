/** Where a copy's progress is shown: a bar on a terminal, lines now and then elsewhere, events for programs. */

import type { Preview } from "@understudy/mirror/preview";
import { bytesText, durationText, eventOf, renderBar, renderLine, type Seen } from "./progress.ts";
import type { SendResult } from "./send.ts";

const LINE_EVERY_MS = 2_000;
const EVENT_EVERY_MS = 500;
const COLUMNS = 100;

export type Screen = {
  seen(seen: Seen): void;
  problem(error: Error): void;
  /** Leaves the terminal's line as it was. */
  end(): void;
  result(result: SendResult): void;
  /** Of a dry run. */
  planned(preview: Preview): void;
};

export function printJson(event: object): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

export function complain(json: boolean, { message }: Error): void {
  if (json) printJson({ event: "problem", message });
  else process.stderr.write(`understudy: ${message}\n`);
}

export function openScreen(json: boolean): Screen {
  return json ? eventScreen() : textScreen();
}

function eventScreen(): Screen {
  const isDue = everySoOften(EVENT_EVERY_MS);
  return {
    seen: (seen) => {
      if (isDue(seen)) printJson(eventOf(seen));
    },
    problem: (error) => complain(true, error),
    end: () => undefined,
    result: (result) => printJson({ event: "ended", ...result, elapsedMs: Math.round(result.elapsedMs) }),
    planned: (preview) => printJson({ event: "planned", ...preview }),
  };
}

function textScreen(): Screen {
  const { stdout } = process;
  const isDue = everySoOften(stdout.isTTY ? 0 : LINE_EVERY_MS);
  const clear = () => {
    if (stdout.isTTY) stdout.write("\r\x1b[K");
  };
  return {
    seen: (seen) => {
      if (!isDue(seen)) return;
      clear();
      stdout.write(stdout.isTTY ? renderBar(seen, stdout.columns ?? COLUMNS) : `${renderLine(seen)}\n`);
    },
    problem: (error) => {
      clear();
      complain(false, error);
    },
    end: clear,
    result: ({ equal, stateBytes, sentBytes, elapsedMs }) => {
      const state = equal ? "everything is there" : "stopped before everything was there";
      const sent = `${bytesText(sentBytes)} sent for ${bytesText(stateBytes)} of state`;
      stdout.write(`${state}: ${sent} in ${durationText(elapsedMs)}\n`);
    },
    planned: ({ files, bytes, removed, stateBytes }) => {
      const sent = `${bytesText(bytes)} at most of ${bytesText(stateBytes)}, in ${files} files`;
      stdout.write(`would send ${sent}, and remove ${removed} paths there\n`);
    },
  };
}

/** True for each new phase, and now and then within one. */
function everySoOften(everyMs: number): (seen: Seen) => boolean {
  let [saidAtMs, saidPhase] = [Number.NEGATIVE_INFINITY, ""];
  return ({ atMs, phase }) => {
    if (phase === saidPhase && atMs - saidAtMs < everyMs) return false;
    [saidAtMs, saidPhase] = [atMs, phase];
    return true;
  };
}
