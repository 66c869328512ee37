/** When something was counted that we had to ask for: somewhere between the question and the answer. */

export type Moment = {
  /** Monotonic time, the middle of what is possible. */
  readonly atMs: number;
  /** It may have been so much earlier or later. */
  readonly doubtMs: number;
};

export async function timed<T>(ask: () => Promise<T>): Promise<Moment & { readonly answer: T }> {
  const askedMs = performance.now();
  const answer = await ask();
  const doubtMs = (performance.now() - askedMs) / 2;
  return { answer, atMs: askedMs + doubtMs, doubtMs };
}
