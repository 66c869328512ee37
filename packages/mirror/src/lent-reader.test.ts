import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";
import { lentFrames } from "./lent-reader.ts";

const FRAMES = 40;
const FRAME_BYTES = 1024 * 1024;

/** Both ends of one connection. */
async function openSockets(t: TestContext): Promise<{ accepted: TLSSocket; connecting: TLSSocket }> {
  const dir = mkdtempSync(join(tmpdir(), "understudy-lent-"));
  await issueCertificate(await createAuthority(join(dir, "ca")), {
    name: "replicator",
    dir: join(dir, "tls"),
  });
  const tls = readTls(join(dir, "tls"));
  const server = createServer(tls).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const connecting = connect({ ...tls, port, host: "127.0.0.1", servername: "understudy" });
  const [accepted] = (await once(server, "secureConnection")) as [TLSSocket];
  t.after(() => {
    for (const end of [connecting, accepted, server]) "destroy" in end ? end.destroy() : end.close();
    rmSync(dir, { recursive: true, force: true });
  });
  for (const socket of [accepted, connecting]) socket.on("error", () => undefined);
  return { accepted, connecting };
}

function framed(payload: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(payload.length);
  return Buffer.concat([length, payload]);
}

const digestOf = (payload: Uint8Array) => createHash("sha256").update(payload).digest("hex");

for (const reads of ["accepted", "connecting"] as const) {
  test(`a socket that is ${reads} lends its buffer on this Node, loses nothing and makes the sender wait`, async (t) => {
    const sockets = await openSockets(t);
    const [reader, writer] =
      reads === "accepted" ? [sockets.accepted, sockets.connecting] : [sockets.connecting, sockets.accepted];
    // Some of it has come in the ordinary way before.
    writer.write(framed(Buffer.from("first")).subarray(0, 7));
    await once(reader, "readable");
    const frames = lentFrames(reader);
    assert.ok(frames, "the fields that onread sets have other names here: see lent-reader.ts");
    writer.write(framed(Buffer.from("first")).subarray(7));
    assert.equal(Buffer.from((await frames.next()).value!).toString(), "first");
    const sent = Array.from({ length: FRAMES }, () => randomBytes(FRAME_BYTES));
    let drained = false;
    for (const payload of sent) writer.write(framed(payload));
    writer.end(() => {
      drained = true;
    });
    const first = await frames.next();
    // Nobody takes the next one: then most of it stays with the sender.
    for (let before = -1; before !== reader.bytesRead; ) {
      before = reader.bytesRead;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.equal(drained, false);
    assert.ok(writer.writableLength > (FRAMES / 4) * FRAME_BYTES, `${writer.writableLength} bytes left`);
    const came = [digestOf(first.value!)];
    for await (const payload of frames) came.push(digestOf(payload));
    assert.deepEqual(came, sent.map(digestOf));
  });
}

test("a connection that breaks off ends with an error, and so does what is no frame", async (t) => {
  const broken = await openSockets(t);
  const lost = lentFrames(broken.accepted)!.next();
  broken.connecting.destroy();
  broken.accepted.destroy();
  await assert.rejects(lost, { code: "unreachable" });
  const wrong = await openSockets(t);
  const garbage = lentFrames(wrong.accepted)!.next();
  wrong.connecting.write(Buffer.alloc(4, 0xff));
  await assert.rejects(garbage, { code: "garbage" });
});
