/** Picks how a state is captured: by its folder's files, by its databases, or by a source that knows better what has changed. */

import { join } from "node:path";
import { captureBundle } from "./bundle.ts";
import type { Capture } from "./capture.ts";
import { captureDatabases } from "./databases.ts";
import type { OpenPrimary, StateSource } from "./engine.ts";
import { MirrorError } from "./error.ts";
import { captureImage } from "./image.ts";
import { checkedRoots } from "./paths.ts";
import type { Still } from "./still.ts";
import { captureTree } from "./tree.ts";

type CaptureOptions = Pick<
  Parameters<OpenPrimary>[0],
  "state" | "workDir" | "clock" | "onError" | "source"
> & {
  readonly still: Still | undefined;
  readonly onCritical: () => void;
};

export async function openCapture(options: CaptureOptions): Promise<Capture> {
  const { state, workDir, clock, still, onError, onCritical, source } = options;
  const roots = checkedRoots(state.paths);
  if (source) return captureSource(source, { state, roots });
  switch (state.consistency) {
    case "sqlite":
      return captureDatabases(new Map(roots.map((root) => [root, join(state.dir, root)])));
    case "hook":
    case "freeze":
    case "none":
      return captureTree({
        dir: state.dir,
        roots,
        workDir,
        nowMs: clock.nowMs,
        ...(still && { still }),
        onError,
        onCritical,
        critical: state.criticalPaths ?? [],
        exclude: state.exclude ?? [],
      });
  }
}

/** Its consistency is its own: a change map, or a bundle's hash. */
function captureSource(
  source: StateSource,
  { state, roots }: { state: CaptureOptions["state"]; roots: readonly string[] },
): Promise<Capture> {
  if (state.consistency !== "none")
    throw new MirrorError("io", `a state of a ${source.kind} has consistency none, not ${state.consistency}`);
  switch (source.kind) {
    case "bundle":
      return captureBundle({ source: source.bundle, roots });
    case "image": {
      const [name, ...others] = roots;
      if (name === undefined || name === "." || others.length > 0)
        throw new MirrorError("io", "a state of a block image is one path, that of the image");
      return captureImage({ ...source.changes, path: join(state.dir, name), name });
    }
  }
}
