/**
 * A real Prometheus with the repository's configuration and alerts, over a running stack under load: it accepts the files, each
 * series of a panel is there, and each expression can be evaluated. The addresses of the compose cluster are replaced by the stack's.
 */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { primaryNow } from "@understudy/cli/demo/stack";
import { readContext } from "@understudy/testkit/context";
import { freePort } from "@understudy/testkit/ports";
import { findUnpacked, unpackDebian } from "@understudy/testkit/servers/debian";
import { findOnPath } from "@understudy/testkit/servers/program";
import { waitFor } from "@understudy/testkit/wait";
import { parse, stringify } from "yaml";
import { expressions, FOLDER, seriesIn } from "../src/observability.ts";
import { scrapedNames } from "../src/scraped.ts";
import { underLoad } from "../src/under-load.ts";

const WITHIN_MS = 60_000;
const LOAD_MS = 30_000;
const BEFORE_THE_KILL_MS = 4_000;
/** Counted when something went wrong, so not on the pages of a stack that works. */
const OF_FAILURES = /_(?:failures|refused_messages|ticks_skipped)_total$/;

async function findPrometheus(): Promise<{ file: string } | { why: string }> {
  const file = findOnPath("prometheus");
  return file ? { file } : (findUnpacked("prometheus") ?? (await unpackDebian("prometheus")));
}

test("Prometheus takes our files and finds every series of the panels on a running stack", {
  timeout: 240_000,
}, async (t) => {
  const found = await findPrometheus();
  if ("why" in found) return t.skip(`no Prometheus: ${found.why}`);
  const promtool = join(dirname(found.file), "promtool");
  execFileSync(promtool, ["check", "rules", join(FOLDER, "alerts.yml")], { stdio: "pipe" });
  const folder = mkdtempSync(join(tmpdir(), "understudy-prometheus-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const outcome = await underLoad({ units: 0.5, lengthMs: LOAD_MS }, async ({ stack, observed }) => {
    const { contextFile } = stack.cluster;
    const config = join(folder, "prometheus.yml");
    writeFileSync(config, pointedAt(Object.values(readContext(contextFile).probes)));
    execFileSync(promtool, ["check", "config", config], { stdio: "pipe" });
    await delay(BEFORE_THE_KILL_MS);
    process.kill(primaryNow(observed)!.pid, "SIGKILL");
    const wanted = expressions()
      .flatMap(({ expr }) => seriesIn(expr))
      .filter((name) => !OF_FAILURES.test(name));
    await untilPresent(wanted, contextFile);
    await asksAll(found.file, { folder, config });
  });
  await outcome.stack.close();
});

/** The message of a failure names what is missing. */
async function untilPresent(wanted: readonly string[], contextFile: string): Promise<void> {
  const missing = async () => {
    const present = await scrapedNames(contextFile);
    return wanted.filter((name) => !present.has(name));
  };
  const all = async () => (await missing()).length === 0 || undefined;
  await waitFor(all, { withinMs: WITHIN_MS, what: "every series" }).catch(async (error: Error) => {
    throw new Error(`not on any page: ${[...new Set(await missing())].join(", ")}`, { cause: error });
  });
}

/** Our configuration, but for addresses and the place of the rules. */
function pointedAt(targets: readonly string[]): string {
  const config = parse(readFileSync(join(FOLDER, "prometheus.yml"), "utf8"));
  config.rule_files = [join(FOLDER, "alerts.yml")];
  config.global.scrape_interval = "1s";
  config.scrape_configs[0].static_configs = [{ targets }];
  return stringify(config);
}

async function asksAll(file: string, { folder, config }: { folder: string; config: string }): Promise<void> {
  const address = `127.0.0.1:${await freePort()}`;
  const args = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    `--web.listen-address=${address}`,
  ];
  const child = spawn(file, args, { stdio: "ignore" });
  const ended = once(child, "exit");
  const ask = async (expr: string) => {
    const response = await fetch(`http://${address}/api/v1/query?query=${encodeURIComponent(expr)}`);
    return (await response.json()) as {
      status: string;
      error?: string;
      data?: { result: { value: [number, string] }[] };
    };
  };
  try {
    await waitFor(
      async () => {
        const { data } = await ask('sum(up{job="understudy"})').catch(() => ({ data: undefined }));
        return Number(data?.result[0]?.value[1] ?? 0) === 5 || undefined;
      },
      { withinMs: WITHIN_MS, what: "a look at all five services" },
    );
    for (const { at, expr } of expressions()) {
      const { status, error } = await ask(expr);
      assert.equal(status, "success", `${at}: ${error}`);
    }
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}
