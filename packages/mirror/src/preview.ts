/**
 * What a copy would send, without sending it: asks a shadow end for its manifest and compares. The shadow's state stays as it
 * is. What has moved would be found when it is sent, so that the bytes are the most it can take.
 */

import { POSITION_ZERO } from "@understudy/model/position";
import { blockLength } from "./blocks.ts";
import type { OpenPrimary } from "./engine.ts";
import { MirrorError } from "./error.ts";
import { decodeFrame, encodeFrame, type Frame } from "./frames.ts";
import { type Difference, difference, type Manifest } from "./manifest.ts";
import { receiveManifest } from "./manifest-wire.ts";
import { openCapture } from "./open-capture.ts";
import { tlsTransport } from "./tls.ts";
import type { Link } from "./transport.ts";

export type Preview = {
  /** Files and databases of which some contents would be sent. */
  readonly files: number;
  /** Of their blocks, before they are packed. */
  readonly bytes: number;
  readonly removed: number;
  readonly stateBytes: number;
};

type PreviewOptions = Pick<
  Parameters<OpenPrimary>[0],
  "state" | "epoch" | "tls" | "workDir" | "clock" | "onError"
> & {
  readonly shadow: { readonly instance: string; readonly incarnation: string; readonly address: string };
  readonly signal: AbortSignal;
};

export async function previewCopy(options: PreviewOptions): Promise<Preview> {
  const { state, tls, shadow, signal } = options;
  const capture = await openCapture({ ...options, still: undefined, onCritical: () => undefined });
  const link = await tlsTransport({ tls })
    .connect(shadow.address, signal)
    .catch((error) => {
      capture.close();
      throw error;
    });
  const close = () => link.close();
  signal.addEventListener("abort", close);
  try {
    const theirs = await askManifest(link, { ...options, resource: state.resource });
    return { ...summed(difference(capture.manifest, theirs)), stateBytes: capture.manifest.bytes };
  } finally {
    signal.removeEventListener("abort", close);
    link.close();
    capture.close();
  }
}

async function askManifest(
  link: Link,
  { shadow, epoch, resource }: PreviewOptions & { resource: string },
): Promise<Manifest> {
  const { instance, incarnation } = shadow;
  const position = { ...POSITION_ZERO, epoch };
  link.send([encodeFrame({ type: "hello", resource, instance, incarnation, position })]);
  const incoming = framesOf(link);
  const { value: welcome } = await incoming.next();
  if (welcome?.type === "refuse") throw new MirrorError("refused", `${instance} refuses: ${welcome.reason}`);
  if (welcome?.type !== "welcome") throw new MirrorError("unreachable", `${instance} did not answer`);
  link.send([encodeFrame({ type: "ask" })]);
  return receiveManifest(incoming, welcome.durable.root);
}

async function* framesOf(link: Link): AsyncGenerator<Frame> {
  for await (const raw of link.frames()) yield decodeFrame(raw);
}

function summed(differences: Iterable<Difference>): Omit<Preview, "stateBytes"> {
  let [files, bytes, removed] = [0, 0, 0];
  for (const each of differences) {
    if (each.op === "remove") removed += 1;
    else if (each.blocks.length > 0) {
      const { size, blockSize } = each.entry;
      files += 1;
      for (const index of each.blocks) bytes += blockLength(index, size, blockSize);
    }
  }
  return { files, bytes, removed };
}
