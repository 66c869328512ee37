import assert from "node:assert/strict";
import { test } from "node:test";
import { accessOf } from "./redis.ts";

test("a user in the URL and a password beside it make one access, and neither stays in the address", () => {
  assert.deepEqual(accessOf({ url: "redis://some%40one@127.0.0.1:6379", password: "secret" }), {
    address: "redis://127.0.0.1:6379",
    username: "some@one",
    password: "secret",
  });
});

test("what stands in the options goes before what stands in the URL", () => {
  const url = "redis://one:first@127.0.0.1:6379/2";
  const { address, username, password } = accessOf({ url, username: "two", password: "second" });
  assert.deepEqual([address, username, password], ["redis://127.0.0.1:6379/2", "two", "second"]);
  assert.equal(accessOf({ url }).password, "first");
});
