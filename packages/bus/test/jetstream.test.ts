/**
 * The bus over a real nats-server, in a container where an engine is there: the contract, and what only a server can do:
 * refuse, and be killed.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { Bus } from "@understudy/bus/bus";
import { busContract } from "@understudy/bus/contract";
import { connectJetStream, ensureStreams, type NatsAccess } from "@understudy/bus/jetstream";
import { SUBJECT_PREFIX, subjectOf, TOPICS } from "@understudy/bus/topics";
import { type NatsServer, startNats } from "@understudy/testkit/servers/nats";
import type { NatsUserName } from "@understudy/testkit/servers/nats-users";
import { waitFor } from "@understudy/testkit/wait";

const BACK_WITHIN_MS = 15_000;

let server: NatsServer;
before(async () => {
  // The contract speaks on subjects of all services, as none of them may.
  const grants = { admin: [`${SUBJECT_PREFIX}.>`] };
  server = await startNats({ name: "nats-bus", prefer: "container", grants });
  await ensureStreams(accessOf("admin"));
});
after(() => server.stop());

function accessOf(name: NatsUserName): NatsAccess {
  const { user, passwordFile } = server.credentials(name);
  return { url: server.url, user, password: passwordFile && readFileSync(passwordFile, "utf8") };
}

function connected(user: NatsUserName): Promise<Bus> {
  return connectJetStream({ ...accessOf(user), name: "bus-test" });
}

busContract(() => connected("admin"));

test("a wrong password is refused with the user's name", async () => {
  await assert.rejects(connectJetStream({ ...accessOf("health"), password: "not-it", name: "bus-test" }), {
    name: "BusError",
    code: "refused",
  });
});

test("a server that was killed comes back with the last word of each subject", async () => {
  const bus = await connected("health");
  const subject = subjectOf(TOPICS.health, "survivor", "survivor-1");
  await bus.publish(subject, Buffer.from("up"));
  await server.kill();
  await waitFor(async () => !bus.connected(), { withinMs: BACK_WITHIN_MS });
  await assert.rejects(bus.publish(subject, Buffer.from("lost")), { name: "BusError", code: "unreachable" });
  await server.restart();
  await waitFor(async () => bus.connected(), { withinMs: BACK_WITHIN_MS });
  const last = await waitFor(() => bus.last(subject), { withinMs: BACK_WITHIN_MS });
  assert.equal(Buffer.from(last.data).toString(), "up");
  await bus.close();
});
