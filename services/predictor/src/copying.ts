/**
 * What copies of a state really move over a link, from what the mirror says of them five times a second: bytes done between
 * two of its words, as long as there was more to send. It fills its buffer of 4 MiB and waits until that has left, so on a
 * slow link they are done in leaps: a measurement goes from the end of one to the end of another. A copy that is over sooner
 * says nothing, and nothing needs to be said: then the link is not what a new shadow waits for. The first measurement of a
 * copy is too high by what the buffers between the two ends took at once; who asks for a low quantile does not see it.
 */

import { isLabel } from "@understudy/model/names";
import { ReplicationPhase, type ReplicationState } from "@understudy/wire/gen/replication";
import { hlcFromWire } from "@understudy/wire/header";

/** What the mirror sends before it waits. */
const BUFFER_BYTES = 4 * 1024 * 1024;
/** The 200 ms between two words are an error of a fifth of this. */
const MEASURE_MS = 1_000;
/** On a fast link leaps have no end that can be seen; among so many bytes a part of one is an error of an eighth. */
const MANY_BYTES = 32 * 1024 * 1024;
const BYTES_MAX = 1e15;
/** Copies under way at a time; those of instances that ended in the middle of one are forgotten with the rest. */
const MARKS_MAX = 64;

export type Progress = {
  readonly resource: string;
  readonly instance: string;
  readonly incarnation: string;
  /** It is brought up to date: `doneBytes` of `totalBytes` are sent. */
  readonly copying: boolean;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Of the whole state at the primary; 0: not known. */
  readonly stateBytes: number;
  readonly atMs: number;
};

type Point = Pick<Progress, "doneBytes" | "atMs">;

/** `leap`: the last word that brought more. */
type Mark = { readonly incarnation: string; readonly from: Point; readonly leap: Point };

/** The copies of one resource's state: by instance, where the next measurement begins. */
export type Copying = { readonly stateBytes: number; readonly marks: ReadonlyMap<string, Mark> };

export const NO_COPYING: Copying = { stateBytes: 0, marks: new Map() };

export function readProgress(message: ReplicationState): { progress: Progress } | { reason: string } {
  const { instance, incarnation, phase } = message;
  const resource = message.header?.resource ?? "";
  const atMs = hlcFromWire(message.header?.time).wallMs;
  if (!isLabel(resource) || !isLabel(instance))
    return {
      reason: `mirror of "${resource.slice(0, 80)}/${instance.slice(0, 80)}" is not named by DNS labels`,
    };
  const [doneBytes, totalBytes, stateBytes] = [
    Number(message.seedDoneBytes),
    Number(message.seedTotalBytes),
    Number(message.stateBytes),
  ];
  for (const bytes of [doneBytes, totalBytes, stateBytes])
    if (bytes > BYTES_MAX)
      return { reason: `mirror of ${resource}/${instance}: ${bytes} bytes, at most ${BYTES_MAX}` };
  const copying = phase === ReplicationPhase.SEEDING;
  return { progress: { resource, instance, incarnation, copying, doneBytes, totalBytes, stateBytes, atMs } };
}

/** `bytesPerSecond`: a measurement was completed. */
export function followCopy(
  { stateBytes, marks }: Copying,
  progress: Progress,
): { copying: Copying; bytesPerSecond?: number } {
  const { mark, ...measured } = measure(marks.get(progress.instance), progress);
  const next = new Map(marks.size < MARKS_MAX ? marks : []);
  if (mark) next.set(progress.instance, mark);
  else next.delete(progress.instance);
  return { copying: { stateBytes: progress.stateBytes || stateBytes, marks: next }, ...measured };
}

function measure(
  mark: Mark | undefined,
  { incarnation, copying, doneBytes, totalBytes, atMs }: Progress,
): { mark?: Mark; bytesPerSecond?: number } {
  // The last leap is not a whole one, and after it the shadow has to write what it got: neither is the link.
  if (!copying || doneBytes === 0 || doneBytes > totalBytes - BUFFER_BYTES) return {};
  const here = { doneBytes, atMs };
  const goesOn =
    mark?.incarnation === incarnation && mark.leap.doneBytes <= doneBytes && mark.leap.atMs <= atMs;
  if (!goesOn) return { mark: { incarnation, from: here, leap: here } };
  const isLeap = doneBytes > mark.leap.doneBytes;
  const leap = isLeap ? here : mark.leap;
  const [bytes, tookMs] = [leap.doneBytes - mark.from.doneBytes, leap.atMs - mark.from.atMs];
  // A link that stands still has no rate of 0: its next leap says how long it took.
  if (tookMs < MEASURE_MS || (isLeap && bytes < MANY_BYTES)) return { mark: { ...mark, leap } };
  return { mark: { incarnation, from: leap, leap }, bytesPerSecond: (1_000 * bytes) / tookMs };
}
