/**
 * Reads a TLS socket through one buffer that is used over and over. Node makes a new buffer for each 16 KiB record, which
 * costs a receiver four times what decrypting it does (ADR 21). Node lets a socket that connects name its buffer
 * (`onread`), but not one that a server has accepted, so this sets on it what `onread` sets. Where a Node has these fields no
 * more, the socket is read as any other.
 */

import type { TLSSocket } from "node:tls";
import { MirrorError } from "./error.ts";
import { frameAssembler } from "./splitter.ts";

const BUFFER_BYTES = 64 * 1024;
/** Whole frames that nobody has taken; beyond it the socket is not read. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

type Callback = (length: number, buffer: Uint8Array) => boolean;
type Handle = { useUserBuffer?: (buffer: Uint8Array) => void };

/** True when from now on every chunk comes to `onBytes`, in memory that is used again; false: it returned to stop reading. */
export function lendBuffer(socket: TLSSocket, onBytes: (chunk: Uint8Array) => boolean): boolean {
  const fields = new Map(Object.getOwnPropertySymbols(socket).map((symbol) => [symbol.description, symbol]));
  const [buffer, callback] = [fields.get("kBuffer"), fields.get("kBufferCb")];
  const handle = (socket as unknown as { _handle?: Handle })._handle;
  if (!buffer || !callback || typeof handle?.useUserBuffer !== "function") return false;
  const memory = Buffer.alloc(BUFFER_BYTES);
  const onRead: Callback = (length, from) => onBytes(from.subarray(0, length));
  Object.assign(socket, { [buffer]: memory, [callback]: onRead });
  handle.useUserBuffer(memory);
  // What came before.
  for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) onBytes(chunk as Buffer);
  socket.resume();
  return true;
}

/** Frames without their prefix; undefined where the socket cannot be read so. Throws MirrorError when it ends early. */
export function lentFrames(socket: TLSSocket): AsyncGenerator<Uint8Array> | undefined {
  const assembler = frameAssembler();
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let ended: "whole" | Error | undefined;
  let news = Promise.withResolvers<void>();

  function end(how: "whole" | Error): void {
    ended ??= how;
    news.resolve();
  }

  function take(chunk: Uint8Array): boolean {
    try {
      for (const frame of assembler.push(chunk)) {
        waiting.push(frame);
        waitingBytes += frame.length;
        news.resolve();
      }
    } catch (error) {
      end(error as Error);
    }
    return waitingBytes < WAITING_BYTES_MAX && ended === undefined;
  }

  if (!lendBuffer(socket, take)) return undefined;
  socket.on("end", () => end("whole"));
  socket.on("error", end);
  socket.on("close", () => end(new Error("premature close")));

  async function* frames(): AsyncGenerator<Uint8Array> {
    for (;;) {
      while (waiting.length > 0) {
        const frame = waiting.shift()!;
        const wasFull = waitingBytes >= WAITING_BYTES_MAX;
        waitingBytes -= frame.length;
        if (wasFull && waitingBytes < WAITING_BYTES_MAX) socket.resume();
        yield frame;
      }
      if (ended === "whole") return;
      if (ended instanceof MirrorError) throw ended;
      if (ended) throw new MirrorError("unreachable", `connection lost: ${ended.message}`, { cause: ended });
      news = Promise.withResolvers();
      await news.promise;
    }
  }
  return frames();
}
