/**
 * A container that serves files of a volume: nginx where the engine has its image, otherwise BusyBox's httpd out of one of
 * the images that there are. Which it was stands in the result.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ContainerStage } from "@understudy/testkit/container-stage";
import { TestkitError } from "@understudy/testkit/error";

const FILE_BYTES = 100_000;
const FILES_PER_FOLDER = 100;

type Server = {
  readonly image: string;
  /** Where it serves from. */
  readonly stateDir: string;
  readonly command: readonly string[];
  /** More arguments of `docker run`. */
  readonly args: readonly string[];
};

/** What is served where; nginx has its master as the first process, as in its image. */
const SERVERS: readonly Server[] = [
  ...["nginx:alpine", "nginx:1.28-alpine", "nginx:latest"].map((image) => ({
    image,
    stateDir: "/usr/share/nginx/html",
    command: [],
    args: [],
  })),
  ...["node:24-bookworm-slim", "nats:2.12-alpine"].map((image) => ({
    image,
    stateDir: "/www",
    command: ["-f", "-p", "80", "-h", "/www"],
    args: ["--entrypoint", "httpd"],
  })),
];

export async function findWebServer({ docker }: ContainerStage, wanted: string | undefined): Promise<Server> {
  const known = SERVERS.find(({ image }) => image === wanted);
  const candidates = wanted === undefined ? SERVERS : [known ?? { ...SERVERS[0]!, image: wanted }];
  for (const server of candidates) {
    const found = await docker("image", "inspect", "-f", "{{.Id}}", server.image).catch(() => "");
    if (found !== "") return server;
  }
  const names = candidates.map(({ image }) => image).join(", ");
  throw new TestkitError(
    "not-found",
    `the engine has none of the images ${names}: docker pull ${candidates[0]!.image}`,
  );
}

/** Fills a folder with files of 100 kB that do not compress, and an index. */
export function fillFolder(dir: string, bytes: number): void {
  writeFileSync(join(dir, "index.html"), "0\n");
  for (let file = 0; file * FILE_BYTES < bytes; file += 1) {
    const folder = join(dir, `part-${Math.floor(file / FILES_PER_FOLDER)}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file-${file}`), noiseOf(file));
  }
}

/** Numbers that follow no pattern, from a seed (xorshift32). */
function noiseOf(seed: number): Buffer {
  const words = new Uint32Array(FILE_BYTES / 4);
  let state = seed + 0x9e3779b9;
  for (let index = 0; index < words.length; index += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return Buffer.from(words.buffer);
}
