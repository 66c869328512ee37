/**
 * What services need of a bus: publish with an acknowledgement, follow a subject from its last value or from now.
 * Two implementations keep the same contract (contract.ts): jetstream.ts, and memory.ts for tests.
 */

export type BusHeaders = Readonly<Record<string, string>>;

export type BusMessage = {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: BusHeaders;
};

export type FollowOptions = {
  /** "last": first the last message of each matching subject, then new ones. "new": new ones only. */
  readonly from: "last" | "new";
  readonly signal: AbortSignal;
};

export interface Bus {
  /** Resolves when the stream has stored the message. Throws BusError when it did not within its time-out. */
  publish(subject: string, data: Uint8Array, headers?: BusHeaders): Promise<void>;
  /**
   * Messages in order, without loss while connected; after a gap (server restarted) it resumes, from the last message of
   * each subject when `from` is "last". Ends when the signal aborts. Never throws for a bus that is away: it waits.
   */
  follow(filter: string, options: FollowOptions): AsyncIterable<BusMessage>;
  /** The last message stored on exactly this subject. */
  last(subject: string): Promise<BusMessage | undefined>;
  /** False while the server is away; what services do then is theirs to decide. */
  connected(): boolean;
  close(): Promise<void>;
}

export type BusErrorCode = "unreachable" | "refused" | "timeout" | "closed";

export class BusError extends Error {
  readonly code: BusErrorCode;
  constructor(code: BusErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "BusError";
    this.code = code;
  }
}
