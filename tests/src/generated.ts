/** Generated protobuf code is committed; here it is generated again, elsewhere, and compared. */

import { execFileSync } from "node:child_process";
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "./sources.ts";

const GENERATED = "packages/wire/src/gen";
const NEEDED = ["proto", "buf.yaml", "buf.gen.yaml"];

export function checkGenerated(): string[] {
  const work = mkdtempSync(join(tmpdir(), "understudy-gen-"));
  try {
    for (const name of NEEDED) cpSync(join(REPOSITORY, name), join(work, name), { recursive: true });
    symlinkSync(join(REPOSITORY, "node_modules"), join(work, "node_modules"));
    execFileSync(join(REPOSITORY, "node_modules/.bin/buf"), ["generate"], { cwd: work, stdio: "pipe" });
    return compare(join(work, GENERATED), join(REPOSITORY, GENERATED));
  } catch (error) {
    const said = (error as { stderr?: Buffer }).stderr?.toString().trim();
    return [`buf generate failed: ${said || (error as Error).message}`];
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function compare(fresh: string, committed: string): string[] {
  const names = new Set([fresh, committed].flatMap((folder) => globSync("**/*.{js,ts}", { cwd: folder })));
  return [...names]
    .filter((name) => read(join(fresh, name)) !== read(join(committed, name)))
    .map((name) => `${GENERATED}/${name} differs from what buf generates: run npm run proto`);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    // One side does not have it, which is a difference too.
    return undefined;
  }
}
