/**
 * A chart of text: demand of the last moments as columns, the capacity in force as a line above them, and to the right
 * of "now" the forecast as a band. Takes figures, returns rows; colours are named, not written.
 */

import type { DemandSample, Forecast } from "./observe.ts";

export type Paint = (
  colour: "dim" | "bold" | "cyan" | "green" | "yellow" | "red" | "magenta",
  text: string,
) => string;

const EIGHTHS = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;
const AXIS_WIDTH = 7;
const FUTURE_PART = 0.25;
const PAST_MS = 45_000;

export type ChartOptions = {
  readonly nowMs: number;
  readonly width: number;
  readonly height: number;
  readonly paint: Paint;
};

export function chart(
  { demand, forecasts }: { demand: readonly DemandSample[]; forecasts: readonly Forecast[] },
  { nowMs, width, height, paint }: ChartOptions,
): string[] {
  const columns = Math.max(8, width - AXIS_WIDTH);
  const futureColumns = Math.floor(columns * FUTURE_PART);
  const past = pastColumns(demand, { nowMs, count: columns - futureColumns });
  const future = futureColumnsOf(forecasts, futureColumns);
  const top = niceTop(
    Math.max(
      ...past.map((column) => Math.max(column?.rps ?? 0, column?.capacityRps || 0)),
      ...future.map((column) => column?.highRps ?? 0),
      1,
    ),
  );
  return Array.from({ length: height }, (_, fromTop) => {
    const row = height - 1 - fromTop;
    const cells = [
      ...past.map((column) => pastCell(column, { row, perRow: top / height, paint })),
      ...future.map((column) => futureCell(column, { row, perRow: top / height, paint })),
    ];
    const label = fromTop % 2 === 0 ? String(Math.round(((row + 1) * top) / height)) : "";
    return `${paint("dim", `${label.padStart(AXIS_WIDTH - 2)} ┤`)}${cells.join("")}`;
  });
}

type PastColumn = { readonly rps: number; readonly capacityRps: number } | undefined;

function pastColumns(
  demand: readonly DemandSample[],
  { nowMs, count }: { nowMs: number; count: number },
): PastColumn[] {
  const columnMs = PAST_MS / count;
  const columns: PastColumn[] = new Array(count).fill(undefined);
  for (let index = demand.length - 1; index >= 0; index -= 1) {
    const sample = demand[index]!;
    const column = count - 1 - Math.floor((nowMs - sample.atMs) / columnMs);
    if (column < 0) break;
    if (column < count) columns[column] ??= sample;
  }
  // Samples come less often than a wide chart has columns: the one before holds until the next.
  for (let index = 1; index < count; index += 1) columns[index] ??= columns[index - 1];
  return columns;
}

function futureColumnsOf(forecasts: readonly Forecast[], count: number): (Forecast | undefined)[] {
  const furthestMs = Math.max(...forecasts.map((forecast) => forecast.aheadMs), 0);
  return Array.from({ length: count }, (_, index) => {
    const aheadMs = ((index + 1) / count) * furthestMs;
    return forecasts.find((forecast) => forecast.aheadMs >= aheadMs - 1e-6);
  });
}

type CellOptions = { readonly row: number; readonly perRow: number; readonly paint: Paint };

function pastCell(column: PastColumn, { row, perRow, paint }: CellOptions): string {
  if (!column) return " ";
  const fill = Math.max(0, Math.min(1, column.rps / perRow - row));
  const isCapacity = Math.floor(column.capacityRps / perRow) === row;
  if (fill > 0)
    return paint(
      column.rps > column.capacityRps ? "red" : "cyan",
      EIGHTHS[Math.max(1, Math.round(fill * 8))]!,
    );
  return isCapacity ? paint("green", "─") : " ";
}

function futureCell(column: Forecast | undefined, { row, perRow, paint }: CellOptions): string {
  if (!column) return " ";
  const middle = (row + 0.5) * perRow;
  if (middle <= column.middleRps) return paint("magenta", "▒");
  return middle <= column.highRps ? paint("magenta", "░") : " ";
}

/** The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten. */
export function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value - 1e-9) ?? 10;
  return step * power;
}
