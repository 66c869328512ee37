/** `understudy mirror` as two real processes on loopback: pairing, a first copy, deltas, faults and how each ends. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "@understudy/testkit/ports";

const MAIN = resolve(import.meta.dirname, "../src/main.ts");
const WAIT_MS_MAX = 60_000;

type Event = Readonly<Record<string, unknown>> & { readonly event: string };

type Program = {
  readonly child: ChildProcess;
  readonly events: Event[];
  stderr(): string;
  /** The first event for which it holds, also of the past. */
  event(holds: (event: Event) => boolean): Promise<Event>;
  end(signal: NodeJS.Signals): Promise<number | null>;
  exit(): Promise<number | null>;
};

function start(t: TestContext, home: string, args: readonly string[]): Program {
  const env = { ...process.env, XDG_STATE_HOME: home };
  const child = spawn(process.execPath, [MAIN, "mirror", ...args, "--json"], { env });
  const events: Event[] = [];
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  createInterface({ input: child.stdout }).on("line", (line) => events.push(JSON.parse(line) as Event));
  const exited = once(child, "close").then(([code]) => code as number | null);
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  return {
    child,
    events,
    stderr: () => stderr,
    event: async (holds) => {
      const found = () => events.find(holds);
      await until(`an event of ${args.join(" ")}; ${stderr}`, () => found() !== undefined);
      return found()!;
    },
    end: (signal) => {
      child.kill(signal);
      return exited;
    },
    exit: () => exited,
  };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + WAIT_MS_MAX;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited ${WAIT_MS_MAX} ms in vain for ${what}`);
    await sleep(10);
  }
}

type Pair = {
  readonly folder: string;
  readonly source: string;
  readonly copies: string;
  readonly home: (name: string) => string;
  readonly receiver: Program;
  readonly token: string;
  readonly port: number;
};

async function openPair(t: TestContext, args: readonly string[] = []): Promise<Pair> {
  const folder = mkdtempSync(join(tmpdir(), "understudy-cli-mirror-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [source, copies] = [join(folder, "source"), join(folder, "far", "copies")];
  mkdirSync(join(source, "deep"), { recursive: true });
  mkdirSync(copies, { recursive: true });
  writeFileSync(join(source, "a.txt"), "first\n");
  writeFileSync(join(source, "deep", "b.bin"), Buffer.alloc(300_000, "b"));
  const home = (name: string) => join(folder, `home-${name}`);
  const receiver = start(t, home("receiver"), ["--listen", `127.0.0.1:${await freePort()}`, ...args, copies]);
  const { token, port } = await receiver.event(({ event }) => event === "listening");
  return { folder, source, copies, home, receiver, token: String(token), port: Number(port) };
}

const isLive = ({ event, phase }: Event) => event === "progress" && phase === "live";

test("once: pairs, copies and ends with 0; again without a token, and sends next to nothing", async (t) => {
  const { source, copies, home, token, port } = await openPair(t);
  const first = start(t, home("sender"), [source, "127.0.0.1:here", "--token", token, "--once"]);
  assert.equal(await first.exit(), 0, first.stderr());
  assert.equal(readFileSync(join(copies, "here", "a.txt"), "utf8"), "first\n");
  assert.deepEqual(readFileSync(join(copies, "here", "deep", "b.bin")), Buffer.alloc(300_000, "b"));
  assert.equal(first.events.at(-1)?.equal, true);

  writeFileSync(join(source, "a.txt"), "second\n");
  const second = start(t, home("sender"), [source, "127.0.0.1:here", "--port", String(port), "--once"]);
  assert.equal(await second.exit(), 0, second.stderr());
  assert.equal(readFileSync(join(copies, "here", "a.txt"), "utf8"), "second\n");
  assert.ok(Number(second.events.at(-1)?.sentBytes) < 10_000, JSON.stringify(second.events.at(-1)));
});

test("goes on: a change is there at once, a receiver that was away is caught up, Ctrl-C ends both", async (t) => {
  const { source, copies, home, receiver, token, port } = await openPair(t);
  const sender = start(t, home("sender"), [source, "127.0.0.1:.", "--token", token]);
  await sender.event(isLive);
  writeFileSync(join(source, "c.txt"), "new\n");
  await until("the new file", () => existsSync(join(copies, "c.txt")));

  assert.equal(await receiver.end("SIGINT"), 0);
  writeFileSync(join(source, "d.txt"), "meanwhile\n");
  const again = start(t, home("receiver"), ["--listen", `127.0.0.1:${port}`, copies]);
  await again.event(({ event }) => event === "opened");
  await until("the file of the meantime", () => existsSync(join(copies, "d.txt")));

  assert.equal(await sender.end("SIGINT"), 0, sender.stderr());
  assert.equal(sender.events.at(-1)?.event, "ended");
  await again.event(({ event }) => event === "closed");
  assert.equal(await again.end("SIGTERM"), 0);
});

test("a database in use is copied by transactions", async (t) => {
  const { source, copies, home, token } = await openPair(t);
  const db = new DatabaseSync(join(source, "shop.db"));
  t.after(() => db.close());
  db.exec("pragma journal_mode=wal; create table sold(n integer); insert into sold values (1)");
  const args = ["--consistency", "sqlite", "--path", "shop.db", "--once", "--token", token];
  const sender = start(t, home("sender"), [source, "127.0.0.1:.", ...args]);
  assert.equal(await sender.exit(), 0, sender.stderr());
  assert.equal(existsSync(join(copies, "a.txt")), false, "only the path that was named");
  const copy = new DatabaseSync(join(copies, "shop.db"), { readOnly: true });
  t.after(() => copy.close());
  assert.deepEqual({ ...copy.prepare("select n from sold").get() }, { n: 1 });
});

test("--dry-run says what would be sent and sends nothing; --exclude leaves out what it names", async (t) => {
  const { source, copies, home, token, port } = await openPair(t);
  mkdirSync(join(source, "node_modules", "x"), { recursive: true });
  writeFileSync(join(source, "node_modules", "x", "y"), "y");
  writeFileSync(join(source, "deep", "c.tmp"), Buffer.alloc(50_000, 1));
  mkdirSync(join(copies, "here"));
  writeFileSync(join(copies, "here", "old"), "old");
  const exclude = ["--exclude", "node_modules", "--exclude", "*.tmp"];
  const plan = async (args: readonly string[]) => {
    const program = start(t, home("sender"), [source, "127.0.0.1:here", "--port", String(port), ...args]);
    assert.equal(await program.exit(), 0, program.stderr());
    return program.events.at(-1)!;
  };
  const dry = await plan([...exclude, "--dry-run", "--token", token]);
  const expected = { event: "planned", files: 2, bytes: 300_006, removed: 1, stateBytes: 300_006 };
  assert.deepEqual(dry, expected);
  assert.equal(readFileSync(join(copies, "here", "old"), "utf8"), "old");
  assert.equal(existsSync(join(copies, "here", "a.txt")), false);

  assert.equal((await plan([...exclude, "--once"])).equal, true);
  assert.deepEqual(readdirSync(join(copies, "here"), { recursive: true }).sort(), [
    "a.txt",
    "deep",
    "deep/b.bin",
  ]);
  writeFileSync(join(source, "a.txt"), "FIRST\n");
  const again = await plan([...exclude, "--dry-run"]);
  assert.deepEqual([again.files, again.bytes, again.removed], [1, 6, 0]);
  const all = await plan(["--dry-run"]);
  assert.deepEqual([all.files, all.bytes, all.removed], [3, 50_007, 0], "what was left out is not there");
});

test("--limit holds", async (t) => {
  const { source, home, token } = await openPair(t);
  const random = Buffer.from(Array.from({ length: 2_000_000 }, () => Math.random() * 256));
  writeFileSync(join(source, "random.bin"), random);
  const args = ["--token", token, "--once", "--limit", "1MB"];
  const startedMs = performance.now();
  const sender = start(t, home("sender"), [source, "127.0.0.1:.", ...args]);
  assert.equal(await sender.exit(), 0, sender.stderr());
  const { elapsedMs } = sender.events.at(-1)!;
  assert.ok(Number(elapsedMs) > 1_800, `2.3 MB took ${elapsedMs} of ${performance.now() - startedMs} ms`);
});

test("a token is good once, and for its receiver only", async (t) => {
  const one = await openPair(t);
  const two = await openPair(t);
  const used = start(t, one.home("sender"), [one.source, "127.0.0.1:.", "--token", one.token, "--once"]);
  assert.equal(await used.exit(), 0, used.stderr());
  const again = start(t, one.home("other"), [one.source, "127.0.0.1:.", "--token", one.token, "--once"]);
  assert.equal(await again.exit(), 1);
  assert.match(again.stderr(), /used already: start the receiver again/);
  // The same port, another authority: nothing of the secret is told it.
  await one.receiver.end("SIGTERM");
  const impostor = start(t, two.home("receiver"), ["--listen", `127.0.0.1:${one.port}`, two.copies]);
  await impostor.event(({ event }) => event === "listening");
  const fooled = start(t, one.home("other"), [one.source, "127.0.0.1:.", "--token", one.token, "--once"]);
  assert.equal(await fooled.exit(), 1);
  assert.match(fooled.stderr(), /another authority answers/);
  const paired = start(t, one.home("sender"), [
    one.source,
    "127.0.0.1:.",
    "--port",
    String(one.port),
    "--once",
  ]);
  assert.equal(await paired.exit(), 1);
  assert.match(paired.stderr(), /pair again with the --token/);
});

test("an expired token is refused", async (t) => {
  const { source, home, token } = await openPair(t, ["--token-minutes", "0.001"]);
  await sleep(100);
  const late = start(t, home("sender"), [source, "127.0.0.1:.", "--token", token, "--once"]);
  assert.equal(await late.exit(), 1);
  assert.match(late.stderr(), /has expired/);
});

test("what cannot be done is said with what to do instead", async (t) => {
  const { source, home, token, copies } = await openPair(t);
  const says = async (args: readonly string[], code: number, expected: RegExp) => {
    const program = start(t, home("sender"), args);
    assert.equal(await program.exit(), code, program.stderr());
    assert.match(program.stderr(), expected);
  };
  await says([source, "127.0.0.1:.", "--once"], 1, /not paired with 127\.0\.0\.1:7440: run/);
  await says([source, "127.0.0.1:.", "--token", token.slice(0, 20)], 2, /cut off/);
  await says([source], 2, /SOURCE HOST:FOLDER/);
  await says(["127.0.0.1:/a", "127.0.0.1:/b"], 2, /on another machine/);
  await says([source, "127.0.0.1:.", "--consistency", "sqlite"], 2, /needs the databases/);
  const databases = ["--consistency", "sqlite", "--path", "a.txt"];
  await says([source, "127.0.0.1:.", ...databases, "--exclude", "x"], 2, /--exclude is for files/);
  await says([source, "127.0.0.1:.", "--token", token, "--path", "nowhere"], 2, /does not exist in/);
  assert.equal(existsSync(join(copies, "a.txt")), false);
});

test("a sender stays below the receiver's folder, and two do not fill one folder", async (t) => {
  const { source, folder, home, token, port } = await openPair(t);
  const first = start(t, home("sender"), [source, "127.0.0.1:a", "--token", token]);
  await first.event(isLive);
  const refused = async (place: string, expected: RegExp) => {
    const program = start(t, home("sender"), [source, place, "--port", String(port), "--once"]);
    assert.equal(await program.exit(), 1, program.stderr());
    assert.match(program.stderr(), expected);
  };
  await refused("127.0.0.1:../outside", /is not below/);
  await refused(`127.0.0.1:${folder}`, /is not below/);
  await refused("127.0.0.1:a", /being filled by/);
  await refused("127.0.0.1:a/within", /one of them lies within/);
});

test("--rsh starts the receiver there, and ends it", async (t) => {
  const { folder, source, home } = await openPair(t);
  const shell = join(folder, "shell.sh");
  writeFileSync(shell, '#!/bin/sh\nshift\nexec sh -c "$*"\n');
  chmodSync(shell, 0o755);
  const there = join(folder, "there's");
  const args = ["--rsh", shell, "--remote-program", `${process.execPath} ${MAIN}`, "--once"];
  const sender = start(t, home("sender"), [source, `127.0.0.1:${there}`, ...args]);
  assert.equal(await sender.exit(), 0, sender.stderr());
  assert.equal(readFileSync(join(there, "a.txt"), "utf8"), "first\n");
});
