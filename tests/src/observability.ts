/** What the profile `observability` brings into the repository: its files, and the names of series that they rely on. Pure but for reading. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "@understudy/testkit/run-folder";
import { parse } from "yaml";

export const FOLDER = join(REPOSITORY, "examples/compose/observability");
/** Prometheus' own. */
const NOT_OURS = new Set(["up"]);
/** Every service's exporter puts this in front of the names in its table. */
export const PREFIX = "understudy_";
const SERIES = /\b(?:understudy_[a-z0-9_]+|up\b)/g;

export type Panel = {
  readonly title: string;
  readonly datasource: { readonly uid: string };
  readonly targets: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
};
export type Dashboard = { readonly uid: string; readonly panels: readonly Panel[] };
export type Alert = {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string };
};

export function dashboards(): readonly Dashboard[] {
  const folder = join(FOLDER, "dashboards");
  return readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as Dashboard);
}

export function alerts(): readonly Alert[] {
  const text = readFileSync(join(FOLDER, "alerts.yml"), "utf8");
  const { groups } = parse(text) as { groups: readonly { rules: readonly Alert[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

/** Every expression, with where it stands. */
export function expressions(): readonly { readonly at: string; readonly expr: string }[] {
  const shown = dashboards().flatMap(({ panels }) =>
    panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ at: `panel "${title}"`, expr }))),
  );
  return [...shown, ...alerts().map(({ alert, expr }) => ({ at: `alert ${alert}`, expr }))];
}

/** Names of our own series in an expression: label names and what stands in quotes are none. */
export function seriesIn(expr: string): readonly string[] {
  const bare = expr.replace(/"[^"]*"/g, "").replace(/\bby \([^)]*\)/g, "");
  return [...new Set(bare.match(SERIES) ?? [])].filter((name) => !NOT_OURS.has(name));
}
