/**
 * Completes the list of what is in an image: npm knows the packages of the application, this adds the program that runs them and
 * the system's libraries it names. `node sbom.ts NPM_SBOM ROOT` prints CycloneDX; ROOT is the folder that becomes the image's root.
 * A library is named by its Debian package where dpkg knows it, and by its SHA-256 in any case.
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

type Hash = { readonly alg: "SHA-256"; readonly content: string };
export type Component = {
  readonly type: "library" | "application" | "file";
  readonly name: string;
  readonly version?: string;
  readonly purl?: string;
  readonly hashes?: readonly Hash[];
};
export type Sbom = { readonly components?: readonly Component[] } & Readonly<Record<string, unknown>>;
/** `package`: "libc6 2.36-9+deb12u9 amd64", where it is known. */
export type Library = {
  readonly file: string;
  readonly sha256: string;
  readonly package: string | undefined;
};

/** Pure. */
export function completed(
  sbom: Sbom,
  { node, libraries }: { node: string; libraries: readonly Library[] },
): Sbom {
  const runtime: Component = {
    type: "application",
    name: "node",
    version: node,
    purl: `pkg:generic/node@${node}`,
  };
  return { ...sbom, components: [...(sbom.components ?? []), runtime, ...libraries.map(componentOf)] };
}

function componentOf({ file, sha256, package: from }: Library): Component {
  const hashes: readonly Hash[] = [{ alg: "SHA-256", content: sha256 }];
  if (from === undefined) return { type: "file", name: file, hashes };
  const [name = "", version = "", architecture = ""] = from.split(" ");
  const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`;
  return { type: "library", name, version, purl, hashes };
}

function librariesIn(root: string): Library[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.so(\.|$)/.test(entry.name))
    .map((entry) => {
      const file = join(entry.parentPath, entry.name);
      const sha256 = createHash("sha256").update(readFileSync(file)).digest("hex");
      return { file: file.slice(root.length), sha256, package: packageOf(entry.name) };
    });
}

/** By the file's name alone: where Debian has put it and where the loader finds it may be two names of one folder. */
function packageOf(name: string): string | undefined {
  try {
    const found = execFileSync("dpkg-query", ["-S", `*/${name}`], { encoding: "utf8", stdio: QUIET });
    const owner = found.split(": ", 1)[0]!.split(", ", 1)[0]!;
    const format = "${Package} ${Version} ${Architecture}";
    return execFileSync("dpkg-query", ["-W", "-f", format, owner], { encoding: "utf8", stdio: QUIET });
  } catch {
    return undefined;
  }
}

const QUIET: ["ignore", "pipe", "ignore"] = ["ignore", "pipe", "ignore"];

const [script = "", file, root] = process.argv.slice(1);
if (basename(script) === basename(import.meta.filename) && file && root) {
  const sbom = JSON.parse(readFileSync(file, "utf8")) as Sbom;
  const whole = completed(sbom, { node: process.versions.node, libraries: librariesIn(root) });
  process.stdout.write(`${JSON.stringify(whole, null, 1)}\n`);
}
