import assert from "node:assert/strict";
import { test } from "node:test";
import { natsConfig } from "./nats-config.ts";
import { NATS_USERS, SERVICE_NAMES } from "./nats-users.ts";

test("no two services may publish on the same pipeline subject", () => {
  const owners = new Map<string, string>();
  for (const name of SERVICE_NAMES) {
    const own = NATS_USERS.find((user) => user.name === name)!.publish.filter(
      (subject) => subject.startsWith("understudy.") && !subject.includes(".events."),
    );
    assert(own.length > 0);
    for (const subject of own) {
      assert.equal(
        owners.get(subject),
        undefined,
        `${subject} belongs to ${owners.get(subject)} and ${name}`,
      );
      owners.set(subject, name);
    }
  }
});

test("nobody may publish into another's inbox, and a subscriber on no subject of ours", () => {
  for (const { name, publish } of NATS_USERS)
    assert(!publish.some((subject) => subject.startsWith("_INBOX")), name);
  const subscriber = NATS_USERS.find(({ name }) => name === "subscriber")!;
  assert(subscriber.publish.every((subject) => subject.startsWith("$JS.")));
  assert(
    !subscriber.publish.some((subject) =>
      /STREAM\.(CREATE|UPDATE|DELETE|PURGE)|CONSUMER\.DELETE/.test(subject),
    ),
  );
});

test("a password that would end its quotes is refused", () => {
  const users = [{ name: "cli" as const, publish: [], subscribe: [], password: 'x" }' }];
  assert.throws(() => natsConfig({ host: "127.0.0.1", port: 1, storeDir: "/tmp", users }), RangeError);
});
