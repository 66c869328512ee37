/** An engine that starts a container and says so too late: nothing may run on of which the driver does not know. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, it } from "node:test";
import { openDockerDriver } from "./docker.ts";

const dir = mkdtempSync(join(tmpdir(), "understudy-late-"));
const socket = join(dir, "engine.sock");
const running = new Set(["shop"]);
const made: string[] = [];
let late = true;

const TEMPLATE = {
  Name: "/shop",
  Image: "sha256:1",
  Config: {},
  HostConfig: { NetworkMode: "front" },
  Mounts: [],
  NetworkSettings: { Networks: { front: { IPAddress: "172.18.0.2" } } },
};

const engine = createServer((request, response) => {
  const [, what = "", id = "", verb = ""] = /^\/v[\d.]+\/(\w+)\/?(\w*)\/?(\w*)/.exec(request.url!) ?? [];
  const answer = (body: unknown, status = 200) => response.writeHead(status).end(JSON.stringify(body));
  request.resume();
  if (request.url === "/version") return answer({ ApiVersion: "1.41" });
  if (what === "events") return response.writeHead(200).flushHeaders();
  if (id === "create") {
    made.push(`c${made.length}`);
    return answer({ Id: made.at(-1) }, 201);
  }
  if (verb === "json") {
    const State = { Running: running.has(id), Pid: 0, ExitCode: 0, Status: "running" };
    return answer({ ...TEMPLATE, Id: id, State });
  }
  if (verb === "changes") return answer([]);
  if (verb === "start") {
    running.add(id);
    // It runs by now, and the answer is lost.
    return late ? request.socket.destroy() : answer({}, 204);
  }
  if (verb === "kill") running.delete(id);
  if (request.method === "DELETE" && late) return answer({ message: "busy" }, 500);
  if (request.method === "DELETE") running.delete(id);
  return answer({}, 204);
});
after(() => {
  engine.closeAllConnections();
  engine.close();
  rmSync(dir, { recursive: true, force: true });
});

it("ends what it had to give up before it starts the next one", { timeout: 20_000 }, async () => {
  await new Promise<void>((resolve) => engine.listen(socket, resolve));
  const stateDir = join(dir, "state");
  mkdirSync(stateDir);
  const errors: Error[] = [];
  const open = () =>
    openDockerDriver({
      socket,
      runDir: join(dir, "run"),
      specOf: () => ({
        container: {
          name: "shop",
          port: 80,
          stateDir: "/data",
          network: "",
          roleFile: "",
          onPromote: "role-file",
          takeNames: false,
          checkpoint: "none",
        },
        state: { paths: ["."], consistency: "none", tickMs: 100, critical: "in-sync" },
      }),
      onError: (error) => errors.push(error),
    });
  const role = { role: "shadow", epoch: 1, untilBootMs: 0 } as const;
  const request = { resource: "shop", instance: "shop-2", incarnation: "one", stateDir, role, env: {} };
  const first = await open();
  await assert.rejects(first.start(request), {
    code: "unreachable",
    message: /cannot start container understudy-shop-2-one/,
  });
  assert.match(errors.map(String).join(), /cannot remove container c0/);
  await first.close();
  late = false;
  const second = await open();
  assert.deepEqual(
    (await second.list()).map(({ incarnation, address }) => [incarnation, address]),
    [["one", "172.18.0.2:80"]],
  );
  const left = (await second.list())[0]!;
  assert.equal((await second.fence(left)).confirmed, true);
  const now = await second.start({ ...request, incarnation: "two" });
  assert.equal(now.incarnation, "two");
  assert.deepEqual([...running], ["shop", "c1"]);
  await second.close();
});
