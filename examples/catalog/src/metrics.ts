/** This service's own metrics as Prometheus text: what it counts, and nothing that it derives. */

export type CatalogCounters = {
  reads: number;
  writes: number;
  refused: number;
  requestBytes: number;
  responseBytes: number;
};

export function createCounters(): CatalogCounters {
  return { reads: 0, writes: 0, refused: 0, requestBytes: 0, responseBytes: 0 };
}

type Metric = {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly lines: string[];
};

export function renderMetrics(
  counters: CatalogCounters,
  workers: { readonly busy: number; readonly size: number; readonly queued: number },
): string {
  const one = (value: number) => ["", String(value)];
  const metrics: Metric[] = [
    {
      name: "catalog_busy_workers",
      type: "gauge",
      help: "Workers with a request.",
      lines: one(workers.busy),
    },
    { name: "catalog_workers", type: "gauge", help: "Workers there are.", lines: one(workers.size) },
    {
      name: "catalog_queued_requests",
      type: "gauge",
      help: "Requests that wait for a worker.",
      lines: one(workers.queued),
    },
    {
      name: "catalog_requests_total",
      type: "counter",
      help: "Requests answered after work, by kind.",
      lines: ['{kind="read"}', String(counters.reads), '{kind="write"}', String(counters.writes)],
    },
    {
      name: "catalog_served_total",
      type: "counter",
      help: "Requests answered after work.",
      lines: one(counters.reads + counters.writes),
    },
    {
      name: "catalog_refused_total",
      type: "counter",
      help: "Requests refused.",
      lines: one(counters.refused),
    },
    {
      name: "catalog_request_bytes_total",
      type: "counter",
      help: "Bytes of bodies in.",
      lines: one(counters.requestBytes),
    },
    {
      name: "catalog_response_bytes_total",
      type: "counter",
      help: "Bytes of bodies out.",
      lines: one(counters.responseBytes),
    },
  ];
  return metrics.map(renderMetric).join("");
}

function renderMetric({ name, type, help, lines }: Metric): string {
  let text = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
  for (let index = 0; index < lines.length; index += 2)
    text += `${name}${lines[index]} ${lines[index + 1]}\n`;
  return text;
}
