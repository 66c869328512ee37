/**
 * A backtest as one SVG: the truth, the band that was foreseen for it, the threshold, and where an alarm stood. A series
 * has more steps than a picture has columns: each column shows the least and the most of its steps.
 */

import type { Backtest } from "@understudy/forecast/backtest";
import type { Series } from "@understudy/forecast/csv";

const [WIDTH, HEIGHT] = [1200, 420];
const FRAME = { left: 70, right: 20, top: 50, bottom: 60 } as const;
const PLOT_WIDTH = WIDTH - FRAME.left - FRAME.right;
const PLOT_HEIGHT = HEIGHT - FRAME.top - FRAME.bottom;
const BASE = FRAME.top + PLOT_HEIGHT;
const LINES = 5;
const ALARM_HEIGHT = 8;
/** Room above the highest value. */
const HEADROOM = 1.05;

/** One column of the picture. */
type Column = {
  readonly x: number;
  readonly low: number;
  readonly high: number;
  readonly median: number;
  readonly upper: number;
  readonly alarm: boolean;
};

export function renderChart(
  { title, series, levels }: { title: string; series: Series; levels: string },
  test: Backtest,
): string {
  const columns = columnsOf(series.values, test);
  const scale = scaleOf(columns, test.threshold);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    text({ x: FRAME.left, y: 22, size: 15 }, title),
    text({ x: FRAME.left, y: 40 }, levels),
    ...grid(scale),
    ...times(series),
    warmUp(test, series.values.length),
    area(columns, scale),
    line(columns, scale, "median", "#2563eb"),
    truth(columns, scale),
    threshold(test, scale),
    ...columns.filter(({ alarm }) => alarm).map(alarmMark),
    "</svg>",
  ];
  return `${parts.join("\n")}\n`;
}

function columnsOf(values: Float64Array, { band, raised }: Backtest): Column[] {
  const count = Math.min(PLOT_WIDTH, values.length);
  return Array.from({ length: count }, (_, index) => {
    const from = Math.floor((index * values.length) / count);
    const to = Math.floor(((index + 1) * values.length) / count);
    const known = values.subarray(from, to).filter((value) => !Number.isNaN(value));
    return {
      x: FRAME.left + ((index + 0.5) * PLOT_WIDTH) / count,
      low: known.length > 0 ? known.reduce((a, b) => Math.min(a, b)) : Number.NaN,
      high: known.length > 0 ? known.reduce((a, b) => Math.max(a, b)) : Number.NaN,
      median: meanOf(band.median.subarray(from, to)),
      upper: meanOf(band.upper.subarray(from, to)),
      alarm: raised.subarray(from, to).some((one) => one === 1),
    };
  });
}

function meanOf(values: Float64Array): number {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}

type Scale = { readonly min: number; readonly max: number; y(value: number): number };

/** The band may shoot far out while it learns: the picture is made for the truth, with the band cut off at its frame. */
function scaleOf(columns: readonly Column[], threshold: number): Scale {
  const values = [...columns.flatMap(({ low, high }) => [low, high]), threshold].filter(Number.isFinite);
  const min = values.reduce((a, b) => Math.min(a, b), 0);
  const most = values.reduce((a, b) => Math.max(a, b), min);
  const max = min + (most > min ? (most - min) * HEADROOM : 1);
  const y = (value: number) => {
    const part = Math.min(1, Math.max(0, (value - min) / (max - min)));
    return BASE - part * PLOT_HEIGHT;
  };
  return { min, max, y };
}

function grid({ min, max, y }: Scale): string[] {
  return Array.from({ length: LINES }, (_, index) => min + ((max - min) * index) / (LINES - 1)).flatMap(
    (value) => [
      `<line x1="${FRAME.left}" x2="${WIDTH - FRAME.right}" y1="${fixed(y(value))}" y2="${fixed(y(value))}" stroke="#e5e7eb"/>`,
      text({ x: FRAME.left - 8, y: y(value) + 4, anchor: "end" }, short(value)),
    ],
  );
}

function times({ startMs, stepMs, values }: Series): string[] {
  return [0, 0.5, 1].map((part) => {
    const at = new Date(startMs + part * (values.length - 1) * stepMs);
    const anchor = part === 0 ? "start" : part === 1 ? "end" : "middle";
    const label = Number.isNaN(at.getTime()) ? "" : at.toISOString().slice(0, 19).replace("T", " ");
    return text({ x: FRAME.left + part * PLOT_WIDTH, y: BASE + 34, anchor }, label);
  });
}

function warmUp({ warmUpSteps }: Backtest, steps: number): string {
  const width = (warmUpSteps / steps) * PLOT_WIDTH;
  return `<rect x="${FRAME.left}" y="${FRAME.top}" width="${fixed(width)}" height="${PLOT_HEIGHT}" fill="#f3f4f6"/>`;
}

function area(columns: readonly Column[], { y }: Scale): string {
  const known = columns.filter(({ median, upper }) => !Number.isNaN(median) && !Number.isNaN(upper));
  const up = known.map(({ x, upper }) => `${fixed(x)},${fixed(y(upper))}`);
  const back = known.toReversed().map(({ x, median }) => `${fixed(x)},${fixed(y(median))}`);
  return `<polygon points="${[...up, ...back].join(" ")}" fill="#93c5fd" fill-opacity="0.6"/>`;
}

function line(columns: readonly Column[], { y }: Scale, of: "median" | "upper", color: string): string {
  const points = columns.flatMap((column) =>
    Number.isNaN(column[of]) ? [] : [`${fixed(column.x)},${fixed(y(column[of]))}`],
  );
  return `<polyline points="${points.join(" ")}" fill="none" stroke="${color}" stroke-width="1"/>`;
}

function truth(columns: readonly Column[], { y }: Scale): string {
  const known = columns.filter(({ low }) => !Number.isNaN(low));
  const points = known.flatMap(({ x, low, high }) =>
    (low === high ? [low] : [low, high]).map((value) => `${fixed(x)},${fixed(y(value))}`),
  );
  return `<polyline points="${points.join(" ")}" fill="none" stroke="#111827" stroke-width="1"/>`;
}

function threshold({ threshold: value }: Backtest, { y }: Scale): string {
  if (Number.isNaN(value)) return "";
  return `<line x1="${FRAME.left}" x2="${WIDTH - FRAME.right}" y1="${fixed(y(value))}" y2="${fixed(y(value))}" stroke="#b45309" stroke-dasharray="6 4"/>`;
}

function alarmMark({ x }: Column): string {
  return `<rect x="${fixed(x - 0.5)}" y="${BASE + 4}" width="1.5" height="${ALARM_HEIGHT}" fill="#dc2626"/>`;
}

function text(
  { x, y, size = 12, anchor = "start" }: { x: number; y: number; size?: number; anchor?: string },
  words: string,
): string {
  return `<text x="${fixed(x)}" y="${fixed(y)}" font-size="${size}" text-anchor="${anchor}" fill="#374151">${xmlOf(words)}</text>`;
}

function xmlOf(words: string): string {
  return words.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

function fixed(value: number): string {
  return value.toFixed(1);
}

function short(value: number): string {
  return Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 0.01)
    ? value.toExponential(1)
    : String(Number(value.toPrecision(4)));
}
