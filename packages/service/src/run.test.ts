import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pause } from "@understudy/model/pause";
import { followForever, runActors } from "./run.ts";

const never = (signal: AbortSignal) => pause(2 ** 30, signal);

describe("a group of actors", () => {
  test("ends together when one fails, and the failure names the actor", async () => {
    let otherEnded = false;
    const actors = [
      {
        name: "steady",
        run: async (signal: AbortSignal) => {
          await never(signal);
          otherEnded = true;
        },
      },
      {
        name: "frail",
        run: async () => {
          throw new Error("disk full");
        },
      },
    ];
    await assert.rejects(runActors(actors, new AbortController()), (error: Error) => {
      assert.equal(error.message, "actor frail");
      assert.equal((error.cause as Error).message, "disk full");
      return true;
    });
    assert.ok(otherEnded);
  });

  test("ends without an error when it is asked to", async () => {
    const stop = new AbortController();
    const running = runActors([{ name: "steady", run: never }], stop);
    stop.abort();
    await running;
  });

  test("an actor that ends by itself is a failure: nothing in a service is ever finished", async () => {
    await assert.rejects(
      runActors([{ name: "short", run: async () => undefined }], new AbortController()),
      /actor short/,
    );
  });
});

describe("following for ever", () => {
  test("opens the stream again after it failed, and reports each loss", async () => {
    const stop = new AbortController();
    const items: number[] = [];
    const lost: string[] = [];
    let opened = 0;
    await followForever(
      async function* () {
        opened += 1;
        yield opened;
        if (opened === 3) stop.abort();
        else throw new Error(`lost ${opened}`);
      },
      {
        signal: stop.signal,
        retryMs: 1,
        onItem: (item) => void items.push(item),
        onLost: (error) => void lost.push((error as Error).message),
      },
    );
    assert.deepEqual(items, [1, 2, 3]);
    assert.deepEqual(lost, ["lost 1", "lost 2"]);
  });
});

test("a service that cannot close what it opened says so, and ends all the same", async () => {
  const [run, wait] = [join(import.meta.dirname, "run.ts"), import.meta.resolve("@understudy/model/pause")];
  const program = `import { runService } from ${JSON.stringify(run)};
    import { pause } from ${JSON.stringify(wait)};
    await runService("stuck", async (own) => {
      own({ close: () => new Promise(() => setInterval(() => undefined, 1_000)) });
      return [{ name: "wait", run: (signal) => pause(2 ** 30, signal) }];
    });`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "inherit", "pipe"],
  });
  let out = "";
  child.stderr.on("data", (chunk: Buffer) => {
    out += chunk;
    if (out.includes("started")) child.kill("SIGTERM");
  });
  const [code] = await once(child, "close");
  assert.equal(code, 1);
  assert.match(out, /"doing":"close".*"msg":"did not end in time"/);
});
