/** The files of the profile `observability`, without any of its programs: names, sources and places that fit together. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { METRICS as balancer } from "@understudy/balancer/telemetry";
import { METRICS as collector } from "@understudy/collector/telemetry";
import { METRICS as health } from "@understudy/health/telemetry";
import { METRICS as predictor } from "@understudy/predictor/telemetry";
import { METRICS as replicator } from "@understudy/replicator/telemetry";
import { REPOSITORY } from "@understudy/testkit/run-folder";
import { parse } from "yaml";
import { alerts, dashboards, expressions, FOLDER, PREFIX, seriesIn } from "./observability.ts";

const PROBES_PORT = 9100;
const yaml = (file: string) => parse(readFileSync(file, "utf8"), { merge: true });
const compose = yaml(join(REPOSITORY, "docker-compose.yml"));

test("every series of a panel or an alert is in a service's own table of metrics", () => {
  const declared = [collector, predictor, balancer, replicator, health].flatMap(
    (table) => Object.values(table) as string[],
  );
  // As the exporter writes them: a counter ends in _total, a histogram has three series.
  const known = new Set(
    declared.flatMap((name) =>
      ["", "_total", "_bucket", "_sum", "_count"].map((end) => `${PREFIX}${name}${end}`),
    ),
  );
  const named = expressions().map(({ at, expr }) => ({ at, series: seriesIn(expr) }));
  for (const { at, series } of named)
    for (const name of series) assert.ok(known.has(name), `${at}: there is no ${name}`);
  assert.ok(new Set(named.flatMap(({ series }) => series)).size > 15, "the expressions are read");
});

test("Prometheus asks each part of the cluster that has a page of metrics, and no other", () => {
  const { scrape_configs: jobs } = yaml(join(FOLDER, "prometheus.yml"));
  const asked = jobs.flatMap((job: { static_configs: { targets: string[] }[] }) =>
    job.static_configs.flatMap(({ targets }) => targets),
  );
  const services = Object.entries(compose.services as Record<string, { image?: string }>);
  const pages = services.filter(([, { image }]) =>
    /^understudy-(collector|predictor|balancer|replicator|health)$/.test(image ?? ""),
  );
  assert.deepEqual(asked.toSorted(), pages.map(([name]) => `${name}:${PROBES_PORT}`).toSorted());
});

test("each panel and query has a source that is provisioned, and each source leads to a part of the profile", () => {
  const { datasources } = yaml(join(FOLDER, "provisioning/datasources/understudy.yml"));
  const uids = datasources.map(({ uid }: { uid: string }) => uid);
  for (const { panels } of dashboards())
    for (const { title, datasource, targets } of panels)
      for (const { uid } of [datasource, ...targets.map((target) => target.datasource)])
        assert.ok(uids.includes(uid), `${title}: ${uid}`);
  for (const { url } of datasources as { url: string }[]) {
    const { profiles } = compose.services[new URL(url).hostname];
    assert.deepEqual(profiles, ["observability"], url);
  }
});

test("what the profile mounts is there, and what Grafana looks for is mounted", () => {
  const targets: string[] = [];
  for (const name of ["prometheus", "grafana"])
    for (const volume of compose.services[name].volumes as string[]) {
      const [from = "", to = "", mode] = volume.split(":");
      assert.ok(existsSync(join(REPOSITORY, from)), from);
      assert.equal(mode, "ro");
      targets.push(to);
    }
  const { providers } = yaml(join(FOLDER, "provisioning/dashboards/understudy.yml"));
  for (const { options } of providers as { options: { path: string } }[])
    assert.ok(targets.includes(options.path), options.path);
  const home = compose.services.grafana.environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH as string;
  assert.ok(targets.includes(home.slice(0, home.lastIndexOf("/"))), home);
});

test("alerts have names of their own and say what is wrong; images are pinned by version", () => {
  const names = alerts().map(({ alert }) => alert);
  assert.equal(new Set(names).size, names.length);
  for (const { alert, annotations } of alerts()) assert.ok(annotations.summary.length > 10, alert);
  for (const name of ["prometheus", "grafana", "jaeger"])
    assert.match(compose.services[name].image, /:v?\d+\.\d+\.\d+$/);
});
