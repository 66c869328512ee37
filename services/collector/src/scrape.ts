/** Reads an instance's own Prometheus page. */

import { timed } from "./moment.ts";
import { PageClient } from "./page-client.ts";
import { parsePrometheus } from "./prometheus.ts";
import type { ApplicationColumn, ApplicationReading } from "./reading.ts";

export type ScrapeTarget = {
  readonly address: string;
  readonly path: string;
  /** Our column -> the application's metric. */
  readonly map: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
};

export class Scraper {
  readonly #client: PageClient;
  readonly #timeoutMs: number;
  readonly #columns: readonly (readonly [column: string, metric: string])[];
  readonly #wanted: ReadonlySet<string>;

  constructor({ address, path, map, timeoutMs }: ScrapeTarget) {
    this.#client = new PageClient(address, path);
    this.#timeoutMs = timeoutMs;
    this.#columns = Object.entries(map);
    this.#wanted = new Set(Object.values(map));
  }

  /** Throws when there is no page within the time-out, or one of more than a megabyte. */
  async read(): Promise<ApplicationReading> {
    const { answer: page, ...moment } = await timed(() => this.#client.get(this.#timeoutMs));
    const sums = parsePrometheus(page, this.#wanted);
    const values: Partial<Record<ApplicationColumn, number>> = {};
    for (const [column, metric] of this.#columns) {
      const value = sums.get(metric);
      if (value !== undefined) values[column as ApplicationColumn] = value;
    }
    return { ...moment, values };
  }

  close(): void {
    this.#client.close();
  }
}
