/**
 * How two ends of a mirror reach each other: a stream of frames with backpressure, whatever carries it. tls.ts is the
 * one we have; a seed may take another way beside it (datagram/), which begins and ends on the link.
 */

export interface Link {
  /** Who the other end proved to be: the common name of its certificate. */
  readonly peer: string;
  /** IP addresses of this link, for what else goes the same way. */
  readonly localHost: string;
  readonly remoteHost: string;
  /** Key material that only the two ends of this link have; another for each context. */
  exportKeys(context: Uint8Array): Uint8Array;
  /** Sends frames (with their length prefix) together. Never waits: ask `ready` before sending much. */
  send(frames: readonly Uint8Array[]): void;
  /** False while enough is waiting to be sent. */
  ready(): boolean;
  /** Resolves when `ready` is true again; rejects when the link is closed. */
  untilReady(): Promise<void>;
  /** Resolves when a seed may send so many bytes past this link, the same way, by the limit of the way; counts them. */
  untilAllowed(bytes: number): Promise<void>;
  /** Called each time everything sent so far has left. */
  onDrain(listener: () => void): void;
  /** Frames without their prefix, as they arrive; a slow reader slows the sender. Ends when the link closes. */
  frames(): AsyncGenerator<Uint8Array>;
  close(): void;
}

export interface TransportListener {
  readonly port: number;
  close(): Promise<void>;
}

export interface Transport {
  /** Throws MirrorError "unreachable" or "unauthorized". */
  connect(address: string, signal: AbortSignal): Promise<Link>;
  /** `serve` owns each link that comes in; it is closed when the promise settles. */
  listen(options: {
    readonly host: string;
    readonly port: number;
    readonly serve: (link: Link) => Promise<void>;
    readonly onError: (error: Error) => void;
  }): Promise<TransportListener>;
}
