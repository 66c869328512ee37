/** The page client against real servers, good and bad, and its parser against any cut of an answer. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTcpServer, type Socket } from "node:net";
import { after, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { PageClient, parseAnswer } from "../src/page-client.ts";

const WITHIN_MS = 5000;
const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

async function listen(server: ReturnType<typeof createTcpServer>): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => server.close());
  const address = server.address();
  assert.ok(address && typeof address === "object");
  return `127.0.0.1:${address.port}`;
}

async function serve(listener: RequestListener): Promise<{ client: PageClient; connections: () => number }> {
  const server = createServer(listener);
  let connections = 0;
  server.on("connection", () => {
    connections += 1;
  });
  const client = new PageClient(await listen(server), "/metrics");
  closers.push(
    () => server.closeAllConnections(),
    () => client.close(),
  );
  return { client, connections: () => connections };
}

async function raw(onSocket: (socket: Socket) => void): Promise<PageClient> {
  const sockets = new Set<Socket>();
  const address = await listen(
    createTcpServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      onSocket(socket);
    }),
  );
  const client = new PageClient(address, "/metrics");
  closers.push(
    () => client.close(),
    () => {
      for (const socket of sockets) socket.destroy();
    },
  );
  return client;
}

describe("the page client", { timeout: 30_000 }, () => {
  it("gets page after page over one connection, with a length or in chunks", async () => {
    let count = 0;
    const { client, connections } = await serve((request, response) => {
      count += 1;
      assert.equal(request.url, "/metrics");
      if (count % 2 === 0) response.write(`first ${count}\n`);
      response.end(`last é ${count}\n`);
    });
    assert.equal(await client.get(WITHIN_MS), "last é 1\n");
    assert.equal(await client.get(WITHIN_MS), "first 2\nlast é 2\n");
    assert.equal(await client.get(WITHIN_MS), "last é 3\n");
    assert.equal(connections(), 1);
  });

  it("refuses an address that is none, again and again, and leaves nothing behind that fails later", async () => {
    const client = new PageClient("127.0.0.1:none", "/metrics");
    for (let attempt = 0; attempt < 2; attempt += 1)
      assert.throws(() => client.get(1), { code: "ERR_SOCKET_BAD_PORT" });
    // A time-out that nobody waits for would end the test run here.
    await delay(20);
  });

  it("connects anew after an answer that closes, and after a server that went away", async () => {
    const { client, connections } = await serve((_, response) => {
      response.setHeader("connection", "close");
      response.end("x 1\n");
    });
    for (let round = 0; round < 3; round += 1) assert.equal(await client.get(WITHIN_MS), "x 1\n");
    assert.equal(connections(), 3);
  });

  it("reads an answer without a length to its end", async () => {
    const client = await raw((socket) =>
      socket.once("data", () => socket.end("HTTP/1.0 200 OK\r\n\r\nx 1\n")),
    );
    assert.equal(await client.get(WITHIN_MS), "x 1\n");
    assert.equal(await client.get(WITHIN_MS), "x 1\n");
  });

  it("throws on any other status and goes on", async () => {
    let status = 500;
    const { client } = await serve((_, response) => response.writeHead(status).end("x 1\n"));
    await assert.rejects(client.get(WITHIN_MS), /status 500/);
    status = 200;
    assert.equal(await client.get(WITHIN_MS), "x 1\n");
  });

  it("throws when there is no page in time, and does not take a late one for the next", async () => {
    const held: (() => void)[] = [];
    let hold = true;
    const { client } = await serve((_, response) => {
      if (hold) held.push(() => response.end("late\n"));
      else response.end("fresh\n");
    });
    await assert.rejects(client.get(200), /no page within 200 ms/);
    hold = false;
    for (const answer of held) answer();
    assert.equal(await client.get(WITHIN_MS), "fresh\n");
  });

  it("throws on garbage, on a cut answer, on a huge one and where nobody listens", async () => {
    const garbage = await raw((socket) => socket.end("SSH-2.0-OpenSSH\r\n\r\n"));
    await assert.rejects(garbage.get(WITHIN_MS), /no HTTP answer/);
    const cut = await raw((socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"));
    await assert.rejects(cut.get(WITHIN_MS), /connection closed/);
    const huge = await raw((socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"));
    await assert.rejects(huge.get(WITHIN_MS), /more than 1048576 bytes/);
    const endless = await raw((socket) => socket.write("x".repeat(20_000)));
    await assert.rejects(endless.get(WITHIN_MS), /head of more than 16 KiB/);
    await assert.rejects(new PageClient("127.0.0.1:1", "/").get(WITHIN_MS), { code: "ECONNREFUSED" });
  });

  it("gives up what is under way when it is closed", async () => {
    const client = await raw(() => undefined);
    const page = client.get(WITHIN_MS);
    client.close();
    await assert.rejects(page, /closed/);
  });
});

describe("parsing an answer", () => {
  const whole = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
  ];

  it("asks for more until it is whole, wherever it is cut", () => {
    for (const text of whole) {
      const bytes = Buffer.from(text);
      for (let cut = 0; cut < bytes.length; cut += 1)
        assert.deepEqual(parseAnswer(bytes.subarray(0, cut), false), { need: "more" });
      assert.deepEqual(parseAnswer(bytes, false), { page: "hello", keep: true });
    }
  });

  it("survives anything", () => {
    const head = fc.constantFrom(
      "",
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    fc.assert(
      fc.property(head, fc.uint8Array({ maxLength: 200 }), fc.boolean(), (start, rest, ended) => {
        const answer = parseAnswer(Buffer.concat([Buffer.from(start), rest]), ended);
        assert.ok("need" in answer || "bad" in answer || typeof answer.page === "string");
      }),
    );
  });
});
