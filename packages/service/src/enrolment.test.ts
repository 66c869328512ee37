import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { countAttempts } from "./attempts.ts";
import { callEnrolment, type EnrolmentError, join } from "./enrolment-client.ts";
import { type Admission, serveEnrolment } from "./enrolment-server.ts";
import { fingerprintOf, formatToken, newSecret, parseToken } from "./enrolment-token.ts";
import { authorityPem, createAuthority, issueCertificate, readTls } from "./tls.ts";

async function openServer(t: TestContext, admit: (secret: Buffer) => Admission) {
  const dir = mkdtempSync(joinPath(tmpdir(), "understudy-enrolment-"));
  const authority = await createAuthority(joinPath(dir, "ca"));
  await issueCertificate(authority, { name: "enrolment", dir: joinPath(dir, "tls") });
  const server = await serveEnrolment({
    host: "127.0.0.1",
    port: 0,
    authority: async () => authority,
    tls: readTls(joinPath(dir, "tls")),
    nowMs: () => 0,
    admit,
    calls: { "/v1/echo": async (body, peer) => ({ body, peer }) },
    onError: (error) => assert.fail(error),
  });
  t.after(async () => {
    await server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const address = `127.0.0.1:${server.port}`;
  return {
    address,
    token: { secret: newSecret(), fingerprint: fingerprintOf(authorityPem(authority)), address },
  };
}

const admitted: Admission = { admitted: true, name: "replicator-edge-a", told: { zone: "north" } };

test("a token says the same after it was written down, and is refused when cut or altered", () => {
  const bytes = (length: number) =>
    fc.uint8Array({ minLength: length, maxLength: length }).map((each) => Buffer.from(each));
  const shape = {
    secret: bytes(16),
    fingerprint: bytes(32),
    address: fc.constantFrom(":7440", "edge-a.example:1", "127.0.0.1:65535", "[::1]:7440"),
  };
  const tokens = fc.record(shape, { noNullPrototype: true });
  fc.assert(
    fc.property(tokens, (token) => {
      assert.deepEqual(parseToken(` ${formatToken(token)}\n`), token);
      assert.equal(parseToken(formatToken(token).slice(4)), undefined);
    }),
    { seed: 4, numRuns: 200 },
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      parseToken(text);
      parseToken(`us1_${text}`);
    }),
    { seed: 4, numRuns: 2_000 },
  );
  assert.equal(parseToken("us1_AAAA"), undefined);
});

test("who brings the secret gets a certificate of the name it was invited under, and may call", async (t) => {
  const seen: Buffer[] = [];
  const { address, token } = await openServer(t, (secret) => {
    seen.push(secret);
    return admitted;
  });
  const joined = await join({ address, token, name: "root", about: {} });
  assert.equal(joined.name, "replicator-edge-a");
  assert.deepEqual(joined.told, { zone: "north" });
  assert.deepEqual(seen, [token.secret]);
  const answer = await callEnrolment({ address, ...joined.tls, path: "/v1/echo", body: { a: 1 } });
  assert.deepEqual(answer, { body: { a: 1 }, peer: "replicator-edge-a" });
});

test("without a certificate nothing but joining is served", async (t) => {
  const { address, token } = await openServer(t, () => admitted);
  const { tls } = await join({ address, token, name: "x", about: {} });
  const call = callEnrolment({ address, ca: tls.ca, path: "/v1/echo", body: {} });
  await assert.rejects(
    call,
    (error: EnrolmentError) => error.code === "refused" && /join/.test(error.message),
  );
});

test("another authority at the address is found out before the secret is sent", async (t) => {
  let asked = 0;
  const { address, token } = await openServer(t, () => {
    asked += 1;
    return admitted;
  });
  const other = { ...token, fingerprint: Buffer.alloc(32, 7) };
  const joining = join({ address, token: other, name: "x", about: {} });
  await assert.rejects(joining, (error: EnrolmentError) => error.code === "impostor");
  assert.equal(asked, 0);
});

test("after five failed attempts a minute nobody from there is listened to", async (t) => {
  const { address, token } = await openServer(t, () => ({ admitted: false, why: "no such token" }));
  const attempt = () => join({ address, token, name: "x", about: {} }).catch((error: Error) => error.message);
  const answers = [];
  for (let each = 0; each < 6; each += 1) answers.push(await attempt());
  assert.match(String(answers[4]), /no such token/);
  assert.match(String(answers[5]), /too many failed attempts/);
});

test("attempts are forgotten after a minute", () => {
  const attempts = countAttempts();
  for (let each = 0; each < 5; each += 1) attempts.failed("a", 0);
  assert.equal(attempts.allowed("a", 59_999), false);
  assert.equal(attempts.allowed("b", 59_999), true);
  assert.equal(attempts.allowed("a", 60_000), true);
});
