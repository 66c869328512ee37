import assert from "node:assert/strict";
import { test } from "node:test";
import { findMap, parseMap, parseServersState, parseStat } from "./stats.ts";

test("columns of show stat are found by name, whatever their order", () => {
  const [line] = parseStat(
    "# svname,scur,stot,qcur,status,bin,bout,econ,eresp,hrsp_5xx,new\ns1,2,40,3,UP 1/2,5,6,7,8,9,x\n",
  );
  assert.deepEqual(line, {
    server: "s1",
    requests: 40,
    inFlight: 2,
    queued: 3,
    connectErrors: 7,
    responseErrors: 8,
    answered5xx: 9,
    bytesIn: 5,
    bytesOut: 6,
    up: true,
  });
});

test("a missing column and an answer that is no table are refused by name", () => {
  assert.throws(() => parseStat("# svname,scur\ns1,2\n"), { code: "refused", message: /no column "stot"/ });
  assert.throws(() => parseStat("Permission denied\n"), { code: "refused", message: /Permission denied/ });
  assert.throws(() => parseServersState(""), { code: "refused" });
});

test("the state of a server tells whether it is closed, drains or serves, and where its checks go", () => {
  const head = "1\n# srv_name srv_addr srv_admin_state srv_uweight srv_port srv_check_port srv_check_addr";
  const rows = [
    "s1 127.0.0.1 5 1 1 0 -",
    "s2 127.0.0.1 0 7 40001 9998 127.0.0.1",
    "s3 127.0.0.1 8 0 40002 0 -",
  ];
  const states = parseServersState([head, ...rows].join("\n"));
  assert.deepEqual(
    states.map(({ server, admin, address, checkAddress, weight }) => [
      server,
      admin,
      address,
      checkAddress,
      weight,
    ]),
    [
      ["s1", "maint", "127.0.0.1:1", "", 1],
      ["s2", "ready", "127.0.0.1:40001", "127.0.0.1:9998", 7],
      ["s3", "drain", "127.0.0.1:40002", "", 0],
    ],
  );
});

test("maps are found by file name and read as pairs", () => {
  const listing =
    "# id (file) description\n3 (/run/x/other.map) pattern\n9 (/run/x/web.slots.map) pattern loaded";
  assert.equal(findMap(listing, "web.slots.map"), "/run/x/web.slots.map");
  assert.equal(findMap(listing, "b.slots.map"), undefined);
  assert.deepEqual(
    [...parseMap("0x55d s1 catalog-1\n0x55e plan 3.17\n\n")],
    [
      ["s1", "catalog-1"],
      ["plan", "3.17"],
    ],
  );
});
