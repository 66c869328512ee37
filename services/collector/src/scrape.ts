/** Reads an instance's own Prometheus endpoint over one kept connection. */

import { Agent, get } from "node:http";
import { parsePrometheus } from "./prometheus.ts";
import type { ApplicationColumn, ApplicationReading } from "./reading.ts";

const PAGE_BYTES_MAX = 1024 * 1024;

export type ScrapeTarget = {
  readonly address: string;
  readonly path: string;
  /** Our column -> the application's metric. */
  readonly map: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
};

export class Scraper {
  readonly #target: ScrapeTarget;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #wanted: ReadonlySet<string>;

  constructor(target: ScrapeTarget) {
    this.#target = target;
    this.#wanted = new Set(Object.values(target.map));
  }

  /** Throws when there is no page within the time-out, or one of more than a megabyte. */
  async read(): Promise<ApplicationReading> {
    const text = await this.#page();
    const atMs = performance.now();
    const sums = parsePrometheus(text, this.#wanted);
    const values: Partial<Record<ApplicationColumn, number>> = {};
    for (const [column, metric] of Object.entries(this.#target.map)) {
      const value = sums.get(metric);
      if (value !== undefined) values[column as ApplicationColumn] = value;
    }
    return { atMs, values };
  }

  close(): void {
    this.#agent.destroy();
  }

  #page(): Promise<string> {
    const { address, path, timeoutMs } = this.#target;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const call = get(`http://${address}${path}`, { agent: this.#agent });
    const timer = setTimeout(() => call.destroy(new Error(`no page within ${timeoutMs} ms`)), timeoutMs);
    call.on("error", reject);
    call.on("response", (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > PAGE_BYTES_MAX) call.destroy(new Error(`page of more than ${PAGE_BYTES_MAX} bytes`));
      });
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString("utf8"));
        else reject(new Error(`status ${response.statusCode}`));
      });
    });
    return promise.finally(() => clearTimeout(timer));
  }
}
