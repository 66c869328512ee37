/**
 * Just enough of an HTTP/1.1 client for the load generator: keep-alive, one exchange at a time per connection, answers with
 * a content-length. node:http costs three times the processor time, on a machine whose two cores also run what is measured.
 */

import { connect, type Socket } from "node:net";

const HEAD_BYTES_MAX = 16 * 1024;
/** In place of a length: no HTTP answer, or one that does not say its length. */
const UNREADABLE = -1;
const HEAD_END = Buffer.from("\r\n\r\n");

export type Exchanged = {
  /** 0: no answer came, or none that could be read. */
  readonly status: number;
  readonly body: string;
  /** Value of the header that was asked for, empty when it is not there. */
  readonly header: string;
};

export const NO_ANSWER: Exchanged = { status: 0, body: "", header: "" };

export type HttpRequest = {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Lines of headers, each ended by CRLF. */
  readonly headers: string;
  readonly body: string;
};

export type ConnectionPool = {
  /** Never rejects: a connection that breaks or an answer that does not come in time is an outcome like any other. */
  exchange(request: HttpRequest, timeoutMs: number): Promise<Exchanged>;
  close(): void;
};

type Head = {
  readonly status: number;
  readonly header: string;
  readonly bodyFrom: number;
  readonly length: number;
};

/**
 * Connections to one server, as many as there are exchanges at a time. Idle ones are dropped after `idleMs`, before the
 * server drops them, or a request could meet a closing one.
 */
export function openConnections(to: {
  readonly host: string;
  readonly port: number;
  readonly idleMs: number;
  /** Name of the header of answers that is wanted, in lower case. */
  readonly header: string;
}): ConnectionPool {
  const idle: { readonly connection: Connection; readonly sinceMs: number }[] = [];
  const all = new Set<Connection>();

  function take(): Connection {
    const fresh = idle.pop()?.connection;
    if (fresh?.isOpen()) return fresh;
    const connection = new Connection(to, () => all.delete(connection));
    all.add(connection);
    return connection;
  }

  const sweep = setInterval(() => {
    const untilMs = performance.now() - to.idleMs;
    // Taken from the end, so the longest idle ones come first.
    while (idle[0] && (idle[0].sinceMs < untilMs || !idle[0].connection.isOpen()))
      idle.shift()?.connection.close();
  }, to.idleMs / 3);
  sweep.unref();

  return {
    async exchange(request, timeoutMs) {
      const connection = take();
      const answer = await connection.exchange(request, timeoutMs);
      if (connection.isOpen()) idle.push({ connection, sinceMs: performance.now() });
      return answer;
    },
    close() {
      clearInterval(sweep);
      for (const connection of all) connection.close();
    },
  };
}

class Connection {
  readonly #socket: Socket;
  readonly #host: string;
  readonly #headerLine: string;
  #open = true;
  #received: Buffer | undefined;
  #head: Head | undefined;
  #answer: ((answer: Exchanged) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(to: { host: string; port: number; header: string }, ended: () => void) {
    this.#host = `${to.host}:${to.port}`;
    this.#headerLine = `\r\n${to.header}: `;
    this.#socket = connect({ host: to.host, port: to.port, noDelay: true });
    this.#socket.on("data", (chunk) => this.#take(chunk));
    this.#socket.on("error", () => this.close());
    this.#socket.on("end", () => this.close());
    this.#socket.on("close", () => {
      this.#settle(NO_ANSWER);
      ended();
    });
  }

  isOpen(): boolean {
    return this.#open;
  }

  close(): void {
    this.#open = false;
    this.#socket.destroy();
  }

  exchange({ method, path, headers, body }: HttpRequest, timeoutMs: number): Promise<Exchanged> {
    this.#received = undefined;
    this.#head = undefined;
    const length = method === "POST" ? `content-length: ${Buffer.byteLength(body)}\r\n` : "";
    this.#socket.write(`${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n${headers}${length}\r\n${body}`);
    this.#timer = setTimeout(() => this.close(), timeoutMs);
    return new Promise((resolve) => {
      this.#answer = resolve;
    });
  }

  #take(chunk: Buffer): void {
    const received = this.#received ? Buffer.concat([this.#received, chunk]) : chunk;
    this.#received = received;
    this.#head ??= parseHead(received, this.#headerLine);
    const head = this.#head;
    const isTooLong = !head && received.length > HEAD_BYTES_MAX;
    // What nobody asked for, or nobody can read: this connection cannot be trusted any more.
    if (!this.#answer || isTooLong || head?.length === UNREADABLE) this.close();
    else if (head && received.length >= head.bodyFrom + head.length) {
      const body = received.toString("utf8", head.bodyFrom, head.bodyFrom + head.length);
      this.#settle({ status: head.status, header: head.header, body });
    }
  }

  #settle(answer: Exchanged): void {
    clearTimeout(this.#timer);
    this.#open &&= answer.status !== 0;
    const resolve = this.#answer;
    this.#answer = undefined;
    resolve?.(answer);
  }
}

/** Undefined while it is not complete. */
function parseHead(received: Buffer, headerLine: string): Head | undefined {
  const at = received.indexOf(HEAD_END);
  if (at < 0) return undefined;
  const text = received.toString("latin1", 0, at);
  const lower = text.toLowerCase();
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1];
  const length = /\r\ncontent-length: *(\d{1,9})/.exec(lower)?.[1];
  const headerAt = lower.indexOf(headerLine);
  const from = headerAt + headerLine.length;
  const lineEnd = text.indexOf("\r\n", from);
  return {
    status: Number(status ?? 0),
    header: headerAt < 0 ? "" : text.slice(from, lineEnd < 0 ? undefined : lineEnd),
    bodyFrom: at + HEAD_END.length,
    length: status === undefined || length === undefined ? UNREADABLE : Number(length),
  };
}
