import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { pause } from "@understudy/model/pause";
import {
  BarrierRequestSchema,
  BarrierResponseSchema,
  HealthControl,
  HealthWatchRequestSchema,
  ReplicationControl,
} from "@understudy/wire/gen/control";
import { VerdictSchema } from "@understudy/wire/gen/health";
import {
  type Call,
  connectGrpc,
  GrpcError,
  type GrpcServer,
  type Handlers,
  implement,
  SHUTDOWN_MS,
  serveGrpc,
} from "./grpc.ts";
import { createAuthority, issueCertificate, readTls } from "./tls.ts";

const ANY_PORT = { host: "127.0.0.1", port: 0 };

function replication(
  barrier: Handlers<typeof ReplicationControl>["barrier"],
): Handlers<typeof ReplicationControl> {
  const unused = async () => {
    throw new GrpcError("unimplemented", "not in this test");
  };
  const none = async function* () {
    yield* [];
  };
  return {
    mirror: unused,
    unmirror: unused,
    switchover: unused,
    promote: unused,
    recreate: unused,
    scale: unused,
    status: unused,
    watch: none,
    barrier,
  };
}

describe("gRPC over mTLS", () => {
  const dir = mkdtempSync(join(tmpdir(), "understudy-grpc-"));
  const tlsOf = (name: string) => readTls(join(dir, name));
  let server: GrpcServer;
  let seen: Call | undefined;
  let streamEnded = false;

  before(async () => {
    const authority = await createAuthority(dir);
    for (const name of ["replicator", "app-catalog"]) {
      await issueCertificate(authority, { name, dir: join(dir, name) });
    }
    server = await serveGrpc({
      listen: ANY_PORT,
      tls: tlsOf("replicator"),
      services: [
        implement(
          ReplicationControl,
          replication(async (request, call) => {
            seen = call;
            if (request.resource === "missing") throw new GrpcError("not-found", "no resource missing");
            if (request.resource === "slow") await pause(60_000, call.signal);
            return create(BarrierResponseSchema, { members: [request.resource], waitedMs: 1.5 });
          }),
        ),
        implement(HealthControl, {
          announce: async () => {
            throw new GrpcError("unimplemented", "not in this test");
          },
          async *watch(request, call) {
            if (request.resource === "secret") throw new GrpcError("permission-denied", "not for you");
            try {
              for (let count = 0; !call.signal.aborted; count += 1) {
                yield create(VerdictSchema, { instance: `${request.resource}-${count}` });
                await pause(5, call.signal);
              }
            } finally {
              streamEnded = true;
            }
          },
        }),
      ],
    });
  });
  after(async () => {
    await server.close();
    rmSync(dir, { recursive: true });
  });

  test("answers a call and tells the handler who called", async () => {
    const client = connectGrpc(ReplicationControl, `127.0.0.1:${server.port}`, tlsOf("app-catalog"));
    const response = await client.barrier(create(BarrierRequestSchema, { resource: "catalog" }));
    assert.deepEqual(response.members, ["catalog"]);
    assert.equal(seen?.peer, "app-catalog");
    client.close();
  });

  test("carries the code and the sentence of an error", async () => {
    const client = connectGrpc(ReplicationControl, `127.0.0.1:${server.port}`, tlsOf("app-catalog"));
    await assert.rejects(
      client.barrier(create(BarrierRequestSchema, { resource: "missing" })),
      (error: GrpcError) => {
        assert.equal(error.code, "not-found");
        assert.match(error.message, /Barrier: no resource missing/);
        return true;
      },
    );
    client.close();
  });

  test("a deadline ends the call on both sides", async () => {
    const client = connectGrpc(ReplicationControl, `127.0.0.1:${server.port}`, tlsOf("app-catalog"));
    const call = client.barrier(create(BarrierRequestSchema, { resource: "slow" }), { deadlineMs: 50 });
    await assert.rejects(call, (error: GrpcError) => error.code === "deadline-exceeded");
    client.close();
  });

  test("a stream that is refused ends with the code and the sentence", async () => {
    const client = connectGrpc(HealthControl, `127.0.0.1:${server.port}`, tlsOf("app-catalog"));
    const messages = client.watch(create(HealthWatchRequestSchema, { resource: "secret" }), {
      signal: AbortSignal.timeout(5_000),
    });
    await assert.rejects(messages[Symbol.asyncIterator]().next(), {
      name: "GrpcError",
      code: "permission-denied",
      message: /not for you/,
    });
    client.close();
  });

  test("streams until the reader stops, and the handler is told", async () => {
    const client = connectGrpc(HealthControl, `127.0.0.1:${server.port}`, tlsOf("app-catalog"));
    const abort = new AbortController();
    const seenInstances: string[] = [];
    const messages = client.watch(create(HealthWatchRequestSchema, { resource: "catalog" }), {
      signal: abort.signal,
    });
    for await (const verdict of messages) {
      seenInstances.push(verdict.instance);
      if (seenInstances.length === 3) break;
    }
    assert.deepEqual(seenInstances, ["catalog-0", "catalog-1", "catalog-2"]);
    const deadline = Date.now() + 2_000;
    while (!streamEnded && Date.now() < deadline) await pause(5, abort.signal);
    assert.ok(streamEnded);
    client.close();
  });

  test("a server that closes ends its streams at once instead of waiting for readers that never leave", async () => {
    const held = await serveGrpc({
      listen: ANY_PORT,
      tls: tlsOf("replicator"),
      services: [
        implement(HealthControl, {
          announce: async () => {
            throw new GrpcError("unimplemented", "not in this test");
          },
          async *watch(request, call) {
            yield create(VerdictSchema, { instance: request.resource });
            await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
          },
        }),
      ],
    });
    const client = connectGrpc(HealthControl, `127.0.0.1:${held.port}`, tlsOf("app-catalog"));
    const seenInstances: string[] = [];
    let closed: Promise<void> | undefined;
    const startedMs = performance.now();
    for await (const { instance } of client.watch(create(HealthWatchRequestSchema, { resource: "catalog" }), {
      signal: new AbortController().signal,
    })) {
      seenInstances.push(instance);
      closed = held.close();
    }
    await closed;
    assert.deepEqual(seenInstances, ["catalog"], "the reader got everything, and an end");
    assert.ok(performance.now() - startedMs < SHUTDOWN_MS, "it was not ended by force");
    client.close();
  });

  test("refuses a caller whose certificate another authority signed", async () => {
    const foreign = join(dir, "foreign");
    await issueCertificate(await createAuthority(foreign), { name: "replicator", dir: foreign });
    const mixed = { ...readTls(foreign), ca: tlsOf("replicator").ca };
    const client = connectGrpc(ReplicationControl, `127.0.0.1:${server.port}`, mixed);
    const call = client.barrier(create(BarrierRequestSchema, { resource: "catalog" }), { deadlineMs: 2_000 });
    await assert.rejects(call, GrpcError);
    client.close();
  });

  test("a caller does not believe a server that shows an application's certificate", async () => {
    const services = [
      implement(
        ReplicationControl,
        replication(async () => create(BarrierResponseSchema)),
      ),
    ];
    const impostor = await serveGrpc({ listen: ANY_PORT, tls: tlsOf("app-catalog"), services });
    const client = connectGrpc(ReplicationControl, `127.0.0.1:${impostor.port}`, tlsOf("replicator"));
    const call = client.barrier(create(BarrierRequestSchema, { resource: "catalog" }), { deadlineMs: 2_000 });
    await assert.rejects(call, GrpcError);
    client.close();
    await impostor.close();
  });

  test("private keys are readable by their owner only", () => {
    assert.equal(statSync(join(dir, "replicator", "tls.key")).mode & 0o777, 0o600);
    assert.equal(statSync(join(dir, "ca.key")).mode & 0o777, 0o600);
  });
});
