import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";

const PROGRAM = join(import.meta.dirname, "ask-ready.ts");

test("asks again while it is not ready, and ends well as soon as it is", async (t) => {
  const statuses = [503, 503, 200];
  let asked = 0;
  const server = createServer((_, response) => response.writeHead(statuses[asked++] ?? 500).end());
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/readyz`;
  const [code] = await once(spawn(process.execPath, [PROGRAM, url]), "exit");
  assert.deepEqual([code, asked], [0, 3]);
});

test("ends badly where nothing answers", async () => {
  const [code] = await once(spawn(process.execPath, [PROGRAM, "http://127.0.0.1:1/readyz"]), "exit");
  assert.equal(code, 1);
});
