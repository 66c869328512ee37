import assert from "node:assert/strict";
import { test } from "node:test";
import { openGates } from "./gate.ts";

async function statusAt(address: string, path = "/primary"): Promise<number> {
  const response = await fetch(`http://${address}${path}`);
  await response.arrayBuffer();
  return response.status;
}

test("a gate answers for its own instance, as things are when it is asked", async () => {
  let leader = "app-1";
  const gates = openGates(
    (instance) => instance === leader,
    () => "127.0.0.1",
  );
  try {
    const [one, two] = [await gates.open("app-1", ""), await gates.open("app-2", "")];
    assert.deepEqual([await statusAt(one), await statusAt(two)], [200, 503]);
    leader = "app-2";
    assert.deepEqual([await statusAt(one), await statusAt(two)], [503, 200]);
    assert.equal(await statusAt(two, "/other"), 404);
  } finally {
    gates.closeAll();
  }
});

test("a gate comes back on the address it had, and elsewhere when that is taken", async () => {
  const gates = openGates(
    () => true,
    () => "127.0.0.1",
  );
  try {
    const before = await gates.open("app-1", "");
    gates.close("app-1");
    assert.equal(await gates.open("app-1", before), before);
    const other = await gates.open("app-2", before);
    assert.notEqual(other, before);
    assert.equal(await statusAt(other), 200);
  } finally {
    gates.closeAll();
  }
});
