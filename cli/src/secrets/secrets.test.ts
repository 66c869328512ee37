import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { NATS_USERS } from "@understudy/testkit/servers/nats-users";
import { makeSecrets } from "./secrets.ts";

const folder = mkdtempSync(join(tmpdir(), "understudy-secrets-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const request = { folder, namespace: "understudy", applications: ["catalog"] };
const dataOf = async (name: string) => {
  const made = await makeSecrets(request);
  return made.find(({ metadata }) => metadata.name === name)!.stringData;
};

test("asked again it gives the same passwords, and other certificates of the same authority", async () => {
  const [first, second] = [await makeSecrets(request), await makeSecrets(request)];
  assert.deepEqual(
    first.map(({ metadata }) => metadata),
    second.map(({ metadata }) => metadata),
  );
  for (const [index, { type, stringData }] of first.entries()) {
    const again = second[index]!.stringData;
    if (type === "Opaque") assert.deepEqual(again, stringData);
    else {
      assert.equal(again["ca.crt"], stringData["ca.crt"]);
      assert.notEqual(again["tls.crt"], stringData["tls.crt"]);
    }
  }
});

test("a service's certificate stands for a service of ours, an application's does not", async () => {
  const certificate = async (name: string) => new X509Certificate((await dataOf(`${name}-tls`))["tls.crt"]!);
  const [balancer, catalog] = [await certificate("balancer"), await certificate("app-catalog")];
  assert.equal(balancer.subject, "CN=balancer");
  assert.equal(balancer.checkHost("understudy"), "understudy");
  assert.equal(catalog.subject, "CN=app-catalog");
  assert.equal(catalog.checkHost("understudy"), undefined);
});

test("the NATS servers know the password of every user", async () => {
  const passwords = (await dataOf("nats-server"))["passwords.conf"]!;
  for (const { name } of NATS_USERS) {
    const { password } = await dataOf(`nats-${name}`);
    assert.ok(passwords.includes(`${name}_password: "${password}"\n`), name);
  }
});
