/** What the five services of a running stack tell Prometheus. */

import { readContext } from "@understudy/testkit/context";

/** Names of the series on all pages, as Prometheus knows them. */
export async function scrapedNames(contextFile: string): Promise<ReadonlySet<string>> {
  const pages = await Promise.all(
    Object.values(readContext(contextFile).probes).map(async (address) => {
      const response = await fetch(`http://${address}/metrics`);
      return response.text();
    }),
  );
  return new Set(pages.flatMap((page) => namesOn(page)));
}

function namesOn(page: string): string[] {
  return page.split("\n").flatMap((line) => /^([a-z_][a-z0-9_]*)[{ ]/i.exec(line)?.[1] ?? []);
}
