import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Redis } from "ioredis";
import { newPassword } from "./passwords.ts";
import { startRedis } from "./redis.ts";

test("a client of the Redis that the environment names is the user that its URL names", async (t) => {
  const before = process.env.UNDERSTUDY_REDIS_URL;
  const server = await startRedis({ name: "redis-users" });
  const admin = new Redis(server.url, { password: readFileSync(server.passwordFile, "utf8") });
  const [user, password] = ["someone@else", newPassword()];
  t.after(async () => {
    if (before === undefined) delete process.env.UNDERSTUDY_REDIS_URL;
    else process.env.UNDERSTUDY_REDIS_URL = before;
    await admin.acl("DELUSER", user);
    admin.disconnect();
    await server.stop();
  });
  await admin.acl("SETUSER", user, "on", `>${password}`, "~*", "+@all");
  const { host } = new URL(server.url);
  process.env.UNDERSTUDY_REDIS_URL = `redis://${encodeURIComponent(user)}:${password}@${host}`;

  const named = await startRedis({ name: "redis-named" });
  const client = new Redis(named.url, { password: readFileSync(named.passwordFile, "utf8") });
  t.after(() => client.disconnect());
  assert.equal(await client.acl("WHOAMI"), user);
  assert.ok(!named.url.includes(password), "a URL is shown to people and in environments");
});
