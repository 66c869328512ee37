import assert from "node:assert/strict";
import { test } from "node:test";
import { haproxyFiles, renderHaproxyConfig, SLOTS_MAX } from "./config.ts";

const POOL = {
  name: "web",
  socket: "/run/u/admin.sock",
  backends: { reads: "r", writes: "w" },
  slots: 3,
  frontend: "127.0.0.1:8080",
};
const render = (more: object = {}, pool: object = {}) =>
  renderHaproxyConfig({ dir: "/run/u", pool: { ...POOL, ...pool }, healthPath: "/healthz", ...more });

test("every slot starts closed in both backends, so that a restart opens nothing by itself", () => {
  const slots = render()
    .split("\n")
    .filter((line) => /^ {2}server s\d/.test(line));
  assert.equal(slots.length, 6);
  assert.ok(slots.every((line) => line.endsWith(" disabled")));
});

test("both backends have a plug, and the files that it needs are named", () => {
  assert.equal(render().match(/^ {2}server plug /gm)?.length, 2);
  assert.deepEqual(Object.keys(haproxyFiles("web")), ["plug.lua", "web.slots.map"]);
});

test("values that would become directives of their own are refused", () => {
  const bad = [
    () => render({ dir: "/run/u\n  stats socket /tmp/open level admin" }),
    () => render({ healthPath: "/healthz\r\nX: y" }),
    () => render({ reads: ["GET POST"] }),
    () => render({}, { frontend: "0.0.0.0:80 ssl" }),
    () => render({}, { backends: { reads: "r w", writes: "w" } }),
    () => render({}, { slots: 0 }),
    () => render({}, { slots: SLOTS_MAX + 1 }),
    () => render({}, { name: "Web!" }),
  ];
  for (const rendering of bad) assert.throws(rendering, RangeError);
});

test("a pool without a health path is checked by connecting", () => {
  assert.doesNotMatch(render({ healthPath: "" }), /httpchk GET \/healthz/);
});
