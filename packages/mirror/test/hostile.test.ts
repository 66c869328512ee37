/** Peers that are not who or what they should be, and disks that are full: one clear error each, and nothing else stops. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ConnectionOptions, connect, createServer } from "node:tls";
import { POSITION_ZERO } from "@understudy/model/position";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";
import { BLOCK_BYTES, blockHash } from "../src/blocks.ts";
import type { Change } from "../src/change.ts";
import type { MirrorListener } from "../src/engine.ts";
import type { MirrorError } from "../src/error.ts";
import { decodeFrame, encodeFrame, type Frame } from "../src/frames.ts";
import { emptyManifest, rootOf, setBlocks, setEntry } from "../src/manifest.ts";
import { tlsTransport } from "../src/tls.ts";
import { attach, caughtUp, openWorld, until, type World } from "./ends.ts";

const codes = (world: World) => world.errors.map((error) => (error as MirrorError).code);
const FILE = {
  kind: "file",
  mode: 0o644,
  mtimeMs: 0,
  blockSize: BLOCK_BYTES,
  target: "",
  uid: 0,
  gid: 0,
} as const;

/** Speaks to a shadow like a primary of epoch 1 and returns what it answers after `frames`. */
async function talk(world: World, listener: MirrorListener, frames: readonly Frame[]): Promise<Frame[]> {
  const link = await tlsTransport({ tls: world.tls }).connect(
    `127.0.0.1:${listener.port}`,
    AbortSignal.timeout(20_000),
  );
  const position = { ...POSITION_ZERO, epoch: 1 };
  link.send([
    encodeFrame({ type: "hello", resource: "catalog", instance: "two", incarnation: "i1", position }),
  ]);
  link.send(frames.map(encodeFrame));
  const answers: Frame[] = [];
  for await (const raw of link.frames()) {
    answers.push(decodeFrame(raw));
    if (answers.at(-1)?.type === "progress") break;
  }
  link.close();
  return answers;
}

function deltaOf(changes: readonly Change[], root: string): Frame[] {
  const position = { epoch: 1, version: 1, hlc: { wallMs: 1, counter: 0 }, root };
  return [
    { type: "begin", epoch: 1, base: { version: 0, root: POSITION_ZERO.root } },
    ...changes.map((change): Frame => ({ type: "change", change })),
    { type: "end", position, changes: changes.length },
  ];
}

async function openShadow(t: TestContext) {
  const world = await openWorld(t);
  const listener = await world.listen();
  return { world, listener, shadow: await world.shadow(listener, { name: "two" }) };
}

test("whoever knows no more than TLS 1.2 is sent nothing", async (t) => {
  const world = await openWorld(t);
  const server = createServer({ ...world.tls, maxVersion: "TLSv1.2" }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  // A connection that should never have come about must not keep the failed test waiting.
  server.on("secureConnection", (socket) => socket.destroy());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const connecting = tlsTransport({ tls: world.tls }).connect(
    `127.0.0.1:${port}`,
    AbortSignal.timeout(20_000),
  );
  await assert.rejects(connecting, { code: "unauthorized" });
});

test("what leads out of the state is refused and reported", async (t) => {
  const { world, listener, shadow } = await openShadow(t);
  writeFileSync(join(world.dir, "victim"), "untouched");
  const hostile: Change[][] = [
    [{ op: "entry", path: "../../victim", entry: { ...FILE, size: 0 } }],
    [{ op: "entry", path: "/etc/victim", entry: { ...FILE, size: 0 } }],
    [{ op: "remove", path: "a/../../../victim" }],
    [
      {
        op: "entry",
        path: "out",
        entry: { kind: "link", mode: 0, mtimeMs: 0, size: 0, blockSize: 0, target: "../..", uid: 0, gid: 0 },
      },
    ],
    [{ op: "entry", path: "no-folder/file", entry: { ...FILE, size: 0 } }],
  ];
  for (const changes of hostile) {
    const answers = await talk(world, listener, deltaOf(changes, POSITION_ZERO.root));
    const last = answers.at(-1);
    assert.equal(last?.type, "refuse", JSON.stringify(changes));
  }
  assert.equal(readFileSync(join(world.dir, "victim"), "utf8"), "untouched");
  assert.equal(codes(world).filter((code) => code === "escape").length, hostile.length);
  assert.equal(shadow.durable().version, 0);
});

test("a link in the shadow's folder does not lead a write out of it", async (t) => {
  const { world, listener, shadow } = await openShadow(t);
  mkdirSync(join(world.dir, "outside"));
  const primary = await world.primary();
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  symlinkSync(join(world.dir, "outside"), world.at("two", "folder"));
  mkdirSync(world.at("one", "folder"));
  writeFileSync(world.at("one", "folder/file"), "x");
  await caughtUp(primary, shadow);
  assert.equal(existsSync(join(world.dir, "outside/file")), false);
  assert.equal(readFileSync(world.at("two", "folder/file"), "utf8"), "x");
});

test("a delta that does not add up is never acknowledged, and the right one is taken after it", async (t) => {
  const { world, listener, shadow } = await openShadow(t);
  const data = Buffer.alloc(100, 1);
  const changes: Change[] = [
    { op: "entry", path: "file", entry: { ...FILE, size: 100 } },
    { op: "blocks", path: "file", blockSize: BLOCK_BYTES, indexes: [0], data },
  ];
  const wrong = await talk(world, listener, deltaOf(changes, "1".repeat(64)));
  assert.ok(wrong.some(({ type }) => type === "refuse"));
  assert.equal(shadow.durable().version, 0);
  assert.equal(existsSync(world.at("two", "file")), false);

  const manifest = emptyManifest();
  setEntry(manifest, "file", { entry: { ...FILE, size: 100 } });
  setBlocks(manifest, "file", { indexes: [0], hashes: blockHash(data) });
  const right = await talk(world, listener, deltaOf(changes, rootOf(manifest)));
  assert.deepEqual(
    right.map(({ type }) => type),
    ["welcome", "progress"],
  );
  assert.equal(shadow.durable().version, 1);
  await until("visible", () => shadow.visible().version === 1);
});

test("a delta cut short leaves nothing behind", async (t) => {
  const { world, listener, shadow } = await openShadow(t);
  const entry: Change = { op: "entry", path: "file", entry: { ...FILE, size: 0 } };
  const [begin, change] = deltaOf([entry], POSITION_ZERO.root);
  const link = await tlsTransport({ tls: world.tls }).connect(
    `127.0.0.1:${listener.port}`,
    AbortSignal.timeout(20_000),
  );
  const position = { ...POSITION_ZERO, epoch: 1 };
  const hello = { type: "hello", resource: "catalog", instance: "two", incarnation: "i1", position } as const;
  link.send([hello, begin!, change!].map(encodeFrame));
  await link.frames().next();
  link.close();
  writeFileSync(world.at("one", "real"), "real");
  const primary = await world.primary();
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  assert.equal(existsSync(world.at("two", "file")), false);
  assert.equal(readFileSync(world.at("two", "real"), "utf8"), "real");
});

test("garbage is refused and the listener serves on", async (t) => {
  const { world, listener, shadow } = await openShadow(t);
  for (const junk of [
    Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    Buffer.alloc(64, 0xff),
    Buffer.from([2, 0, 0, 0, 9, 9]),
  ]) {
    await send(listener, { ...world.tls, servername: "understudy" }, junk);
  }
  await until("each is reported", () => codes(world).length === 3);
  assert.deepEqual(codes(world).sort(), ["garbage", "garbage", "version"]);
  const primary = await world.primary();
  attach(primary, listener, "two");
  await until("seeded", () => shadow.seeded());
});

test("only replicators of our authority are let in, on either side", async (t) => {
  const { world, listener, shadow } = await openShadow(t);
  const application = await world.certificate("app-catalog");
  const primary = await world.primary({ tls: application });
  attach(primary, listener, "two");
  await until("refused by name", () =>
    world.errors.some(({ message }) => message.includes('"app-catalog" may not')),
  );

  const foreign = join(world.dir, "foreign");
  await issueCertificate(await createAuthority(foreign), { name: "replicator", dir: foreign });
  const stranger = await world.primary({ name: "three", tls: readTls(foreign) });
  attach(stranger, listener, "two");
  await until("refused by authority", () => codes(world).includes("unauthorized"));
  await send(listener, { ca: world.tls.ca, servername: "understudy" }, Buffer.from("no certificate at all"));
  assert.equal(shadow.seeded(), false);
  assert.equal(shadow.durable().version, 0);
});

test("a full disk stops the acknowledgements with one clear error, and goes on when there is room", async (t) => {
  const world = await openWorld(t);
  const small = join(world.dir, "two");
  mkdirSync(small);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", small], { stdio: "ignore" });
  } catch {
    t.skip("needs the right to mount a small file system");
    return;
  }
  world.own({ close: async () => void execFileSync("umount", ["-l", small]) });
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary();
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  const ballast = join(small, "ballast");
  writeFileSync(ballast, Buffer.alloc(1_700_000, 1));
  writeFileSync(world.at("one", "large"), Buffer.alloc(400_000, 1));
  const { version } = await primary.seal();
  await until("the full disk is reported", () => codes(world).includes("disk-full"));
  assert.equal(await primary.waitDurable(version, ["two"], AbortSignal.timeout(200)), false);
  assert.equal(codes(world).filter((code) => code === "disk-full").length, 1);
  execFileSync("rm", [ballast]);
  assert.equal(await primary.waitDurable(version, ["two"], AbortSignal.timeout(30_000)), true);
  await until("visible", () => shadow.visible().version >= version);
  assert.equal(readFileSync(world.at("two", "large")).length, 400_000);
});

/** Sends bytes to the listener and waits until it closes. */
async function send(listener: MirrorListener, tls: ConnectionOptions, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect({ ...tls, host: "127.0.0.1", port: listener.port }, () => socket.write(bytes));
    socket
      .on("error", () => socket.destroy())
      .on("close", () => resolve())
      .resume();
  });
}
