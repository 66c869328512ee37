/** The client against an engine made for the test: versions, failures, and a stream of events that breaks. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openEngine } from "./docker-engine.ts";
import { ContainerExits } from "./docker-exits.ts";

const dir = mkdtempSync(join(tmpdir(), "understudy-engine-"));
const servers: Server[] = [];
let sockets = 0;
after(() => {
  for (const server of servers) server.closeAllConnections();
  for (const server of servers) server.close();
  rmSync(dir, { recursive: true, force: true });
});

type Versions = { readonly ApiVersion: string; readonly MinAPIVersion?: string };

async function serve(
  listener: RequestListener,
  {
    versions = { ApiVersion: "1.41" },
    socket = join(dir, `${++sockets}.sock`),
  }: { versions?: Versions; socket?: string } = {},
): Promise<{ server: Server; socket: string }> {
  const server = createServer((request, response) => {
    if (request.url === "/version") return response.end(JSON.stringify(versions));
    return listener(request, response);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return { server, socket };
}

const refuse = (response: ServerResponse, status: number, message: string) => {
  response.writeHead(status).end(JSON.stringify({ message }));
};

describe("an engine", () => {
  it("that is not there, or whose socket is a file, is said with the remedy", async () => {
    const missing = openEngine(join(dir, "none.sock"));
    await assert.rejects(missing.inspect("shop"), {
      name: "ResourceError",
      code: "unreachable",
      message:
        /no container engine at .*none.sock: start Docker or Podman, or name its socket in UNDERSTUDY_DOCKER_SOCKET/,
    });
    const file = join(dir, "file");
    writeFileSync(file, "");
    await assert.rejects(openEngine(file).inspect("shop"), /does not run: start it|is no socket/);
  });

  it("that this user may not use is said with the remedy", {
    skip: process.getuid?.() !== 0 && "not root",
  }, async () => {
    const { socket } = await serve(() => assert.fail("it must not be asked"));
    // A driver of another user, who may pass the folder and not the socket.
    chmodSync(dir, 0o755);
    chmodSync(socket, 0o600);
    const program = `
      process.setuid(65534);
      openEngine(process.argv[1]).inspect("shop").catch(({ code, message }) => console.log(code, message));`;
    const from = `import { openEngine } from ${JSON.stringify(join(import.meta.dirname, "docker-engine.ts"))};`;
    const asked = spawn(process.execPath, ["--input-type=module", "-e", from + program, socket]);
    asked.stdout.setEncoding("utf8");
    let said = "";
    asked.stdout.on("data", (text: string) => {
      said += text;
    });
    await once(asked, "close");
    assert.match(
      said,
      /^refused cannot .*: this user may not use .*: add it to the group that owns the socket/,
    );
  });

  it("that is too old is refused, and a newer one is spoken to in its oldest version", async () => {
    const old = await serve(() => assert.fail("it must not be asked"), { versions: { ApiVersion: "1.38" } });
    await assert.rejects(openEngine(old.socket).inspect("shop"), {
      code: "refused",
      message: /speaks API 1.38, 1.41 is needed: use Docker 20.10, Podman 4 or newer/,
    });
    const asked: string[] = [];
    const versions = { ApiVersion: "1.52", MinAPIVersion: "1.44" };
    const young = await serve(
      (request, response) => {
        asked.push(request.url ?? "");
        refuse(response, 404, "No such container: shop");
      },
      { versions },
    );
    assert.equal(await openEngine(young.socket).inspect("shop"), undefined);
    assert.deepEqual(asked, ["/v1.44/containers/shop/json"]);
  });

  it("that says no is quoted, with the container and the remedy", async () => {
    const answers: Record<string, [number, string]> = {
      gone: [404, "No such image: sha256:1"],
      full: [500, "mkdir /var/lib/docker/overlay2/x: no space left on device"],
      taken: [409, 'Conflict. The container name "/taken" is already in use by container "f00"'],
    };
    const { socket } = await serve((request, response) => {
      const [status, message] = answers[new URL(request.url!, "http://x").searchParams.get("name")!]!;
      refuse(response, status, message);
    });
    const engine = openEngine(socket);
    await assert.rejects(engine.create("gone", {}), {
      code: "not-found",
      message: /make container gone: .*pull or build the image/,
    });
    await assert.rejects(engine.create("full", {}), {
      code: "disk-full",
      message: /make container full: .*make room/,
    });
    await assert.rejects(engine.create("taken", {}), { code: "refused", message: /did not make it/ });
  });

  it("that comes back after a restart is used again, at whatever version it speaks then", async () => {
    const listener: RequestListener = (request, response) =>
      response.end(JSON.stringify({ Id: "a", Name: request.url, State: { Running: true } }));
    const first = await serve(listener);
    const engine = openEngine(first.socket);
    assert.match((await engine.inspect("a"))!.Name, /^\/v1.41\//);
    await new Promise((resolve) => first.server.close(resolve));
    await assert.rejects(engine.inspect("a"), { code: "unreachable" });
    await serve(listener, { socket: first.socket, versions: { ApiVersion: "1.52", MinAPIVersion: "1.44" } });
    assert.match((await engine.inspect("a"))!.Name, /^\/v1.44\//);
  });
});

describe("ends of containers", { timeout: 20_000 }, () => {
  it("are heard from the stream, and after a gap in it by asking", async () => {
    const running = new Set(["one", "two"]);
    const streams: ServerResponse[] = [];
    const { socket } = await serve((request, response) => {
      const id = /containers\/(\w+)\/json/.exec(request.url!)?.[1];
      if (id)
        return response.end(JSON.stringify({ Id: id, State: { Running: running.has(id), ExitCode: 3 } }));
      streams.push(response);
      return response.writeHead(200).flushHeaders();
    });
    const exits = new ContainerExits(openEngine(socket));
    const unseen = { pid: 0, pidStartTicks: 0 };
    for (const id of running) exits.watch(id, unseen);
    const heard = (id: string) => new Promise<string>((resolve) => exits.listen(id, resolve));
    const [one, two] = [heard("one"), heard("two")];
    while (streams.length === 0) await sleep(5);
    streams[0]!.write(
      `${JSON.stringify({ Action: "die", Actor: { ID: "one", Attributes: { exitCode: "137" } } })}\n`,
    );
    assert.equal(await one, "exited: code 137");
    running.delete("two");
    streams[0]!.end();
    assert.equal(await two, "exited: code 3");
    assert.equal(await heard("two"), "exited: code 3");
    await exits.close();
  });
});
