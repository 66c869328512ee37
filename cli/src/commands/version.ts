/** `understudy version`. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SUBJECT_PREFIX } from "@understudy/bus/topics";
import { REPOSITORY } from "@understudy/testkit/run-folder";
import type { Command } from "commander";
import { type Globals, print } from "../globals.ts";

export function readVersion(): string {
  return (JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as { version: string }).version;
}

export function addCommand(program: Command): void {
  program
    .command("version")
    .description("show versions")
    .action((_options, command: Command) => {
      const versions = { understudy: readVersion(), interface: SUBJECT_PREFIX, node: process.versions.node };
      print(command.optsWithGlobals<Globals>(), {
        text: () => `understudy ${versions.understudy} (${versions.interface}, Node ${versions.node})`,
        json: () => versions,
      });
    });
}
