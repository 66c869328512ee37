import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { type ConnectionPool, type HttpRequest, NO_ANSWER, openConnections } from "./http-connection.ts";

const TIMEOUT_MS = 5_000;
const GET: HttpRequest = { method: "GET", path: "/", headers: "", body: "" };

/** A server that treats each connection as it is told, and a pool to it. */
async function poolTo(
  t: TestContext,
  onConnection: (socket: Socket) => void,
  idleMs = 3_000,
): Promise<ConnectionPool> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    onConnection(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const pool = openConnections({ host: "127.0.0.1", port, idleMs, header: "server-instance" });
  t.after(() => {
    pool.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return pool;
}

/** Answers every request with these pieces, one after the other. */
function answering(...pieces: string[]): (socket: Socket) => void {
  return (socket) =>
    socket.on("data", async () => {
      for (const piece of pieces) {
        socket.write(piece);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
}

test("an answer is read whole however it is cut, with the header that is wanted", async (t) => {
  const whole = "HTTP/1.1 201 Created\r\nContent-Length: 7\r\nServer-Instance: catalog-2\r\n\r\n{é:12}";
  for (const cut of [0, 3, 30, 70, whole.length - 2]) {
    const pool = await poolTo(t, answering(whole.slice(0, cut), whole.slice(cut)));
    assert.deepEqual(await pool.exchange(GET, TIMEOUT_MS), {
      status: 201,
      body: "{é:12}",
      header: "catalog-2",
    });
  }
});

test("a connection is used again, and one more is opened only for what comes at the same time", async (t) => {
  let connections = 0;
  const pool = await poolTo(t, (socket) => {
    connections += 1;
    answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")(socket);
  });
  await pool.exchange(GET, TIMEOUT_MS);
  await pool.exchange(GET, TIMEOUT_MS);
  assert.equal(connections, 1);
  await Promise.all([pool.exchange(GET, TIMEOUT_MS), pool.exchange(GET, TIMEOUT_MS)]);
  assert.equal(connections, 2);
});

test("a connection that breaks, an answer that stops half-way and garbage are no answer, and the next request is well", async (t) => {
  const behaviours = [
    (socket: Socket) => socket.destroy(),
    (socket: Socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
    (socket: Socket) => socket.write("SSH-2.0-OpenSSH\r\n\r\n"),
    (socket: Socket) => socket.write("HTTP/1.1 200 OK\r\n\r\nno length"),
    (socket: Socket) => socket.write("x".repeat(20_000)),
    (socket: Socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
  ];
  const pool = await poolTo(t, (socket) => {
    const behave = behaviours.shift()!;
    socket.once("data", () => behave(socket));
  });
  for (let broken = 0; broken < 5; broken += 1)
    assert.deepEqual(await pool.exchange(GET, TIMEOUT_MS), NO_ANSWER);
  assert.equal((await pool.exchange(GET, TIMEOUT_MS)).body, "ok");
});

test("an answer that does not come in time is no answer; its connection is not used again", async (t) => {
  let connections = 0;
  const pool = await poolTo(t, () => {
    connections += 1;
  });
  assert.deepEqual(await pool.exchange(GET, 50), NO_ANSWER);
  assert.deepEqual(await pool.exchange(GET, 50), NO_ANSWER);
  assert.equal(connections, 2);
});

test("nobody listens: no answer", async () => {
  const pool = openConnections({ host: "127.0.0.1", port: 1, idleMs: 3_000, header: "x" });
  assert.deepEqual(await pool.exchange(GET, TIMEOUT_MS), NO_ANSWER);
  pool.close();
});

test("idle connections are dropped in time", async (t) => {
  const closed = Promise.withResolvers<void>();
  const pool = await poolTo(
    t,
    (socket) => {
      socket.on("close", () => closed.resolve());
      answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")(socket);
    },
    30,
  );
  await pool.exchange(GET, TIMEOUT_MS);
  // The pool's own timer does not keep a process alive; the test has to.
  const keepAlive = setInterval(() => undefined, 1_000);
  await closed.promise;
  clearInterval(keepAlive);
});

test("a real server understands its requests", async (t) => {
  const server = createHttpServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    response.setHeader("server-instance", "a");
    response.end(
      `${request.method} ${request.url} ${request.headers["idempotency-key"] ?? "-"} ${Buffer.concat(chunks)}`,
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const pool = openConnections({ host: "127.0.0.1", port, idleMs: 3_000, header: "server-instance" });
  t.after(() => {
    pool.close();
    server.close();
  });
  const post = {
    method: "POST",
    path: "/orders",
    headers: "idempotency-key: k\r\n",
    body: '{"é":1}',
  } as const;
  assert.equal((await pool.exchange(post, TIMEOUT_MS)).body, 'POST /orders k {"é":1}');
  assert.deepEqual(await pool.exchange({ ...GET, path: "/x" }, TIMEOUT_MS), {
    status: 200,
    body: "GET /x - ",
    header: "a",
  });
});
