/**
 * Copies the files of a folder over one TLS connection and does nothing else, as the plain way that a first copy is measured against:
 * `tls-copy.ts '{"role": "receive", ...}'` says its port, and how it went when all files are written and synced;
 * `tls-copy.ts '{"role": "send", ...}'` says when it begins. Neither looks for changes, compares, verifies nor resumes.
 */

import { once } from "node:events";
import { closeSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { connect, createServer, type TLSSocket } from "node:tls";
import { readTls } from "@understudy/service/tls";

export type CopyOptions = {
  readonly role: "send" | "receive";
  readonly dir: string;
  readonly tlsDir: string;
  /** Names, all of files of `bytes`. */
  readonly names: readonly string[];
  readonly bytes: number;
  readonly port: number;
};

const CHUNK_BYTES = 1024 * 1024;
const options: CopyOptions = JSON.parse(process.argv[2]!);
const { dir, names, bytes } = options;
const tls = readTls(options.tlsDir);
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
process.stdin.on("end", () => process.exit(0)).resume();
await (options.role === "send" ? send() : receive());

async function send(): Promise<void> {
  const socket = connect({ ...tls, port: options.port, host: "127.0.0.1", servername: "understudy" });
  await once(socket, "secureConnect");
  say({ open: true });
  for (const name of names) {
    const file = openSync(join(dir, name), "r");
    for (let at = 0; at < bytes; at += CHUNK_BYTES) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, bytes - at));
      readSync(file, chunk, 0, chunk.length, at);
      if (!socket.write(chunk)) await once(socket, "drain");
    }
    closeSync(file);
  }
  socket.end();
}

async function receive(): Promise<void> {
  const server = createServer({ ...tls, requestCert: true }, (socket) => void take(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  say({ port: (server.address() as AddressInfo).port });
}

async function take(socket: TLSSocket): Promise<void> {
  let [number, file, at] = [0, open(0), 0];
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    for (let from = 0; from < chunk.length; ) {
      const some = chunk.subarray(from, from + bytes - at);
      writeSync(file, some, 0, some.length, at);
      from += some.length;
      at += some.length;
      if (at < bytes) continue;
      fsyncSync(file);
      closeSync(file);
      number += 1;
      if (number < names.length) [file, at] = [open(number), 0];
    }
  }
  say({ done: number === names.length });
}

function open(number: number): number {
  return openSync(join(dir, names[number]!), "w");
}
