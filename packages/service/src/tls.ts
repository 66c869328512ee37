/**
 * mTLS material: a small certificate authority made on first start, and one certificate per service.
 * The common name says who a peer is ("replicator", "app-catalog"). A service's certificate also carries the DNS name
 * "understudy", so that it can be verified under one name on any address. An application's does not: it may call, but a
 * program that takes a service's port while that is away must not be believed by the others.
 */

import { webcrypto } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type * as X509 from "@peculiar/x509";

export const PEER_NAME = "understudy";
/** "app-catalog": the certificate of a resource's own instances. */
const APPLICATION_PREFIX = "app-";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const CA_DAYS = 3650;
const CERTIFICATE_DAYS = 825;
/** Clocks of two hosts may differ by this much when a certificate is new. */
const CLOCK_SLACK_MS = 5 * 60_000;
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

/** Loaded where a certificate is made: every process reads certificates, and this would be a third of its start. */
async function loadX509(): Promise<typeof X509> {
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

/** Name in the certificate of a resource's instances. */
export function applicationName(resource: string): string {
  return `${APPLICATION_PREFIX}${resource}`;
}

/** Applications may ask for a Barrier of their own resource, and for nothing else. */
export function isApplication(peer: string): boolean {
  return peer.startsWith(APPLICATION_PREFIX);
}

/** "replicator", or that of one host of several: "replicator-edge-a". */
export function isReplicator(peer: string): boolean {
  return peer === "replicator" || peer.startsWith("replicator-");
}

/** PEM texts, as node:tls and grpc-js take them. */
export type TlsMaterial = { readonly ca: string; readonly cert: string; readonly key: string };

export type CertificateAuthority = {
  readonly certificate: X509.X509Certificate;
  readonly key: webcrypto.CryptoKey;
};

export function readTls(dir: string): TlsMaterial {
  const read = (file: string) => readFileSync(join(dir, file), "utf8");
  return { ca: read("ca.crt"), cert: read("tls.crt"), key: read("tls.key") };
}

/** Opens the authority in `dir` (ca.crt, ca.key), or makes a new one there. */
export async function createAuthority(dir: string): Promise<CertificateAuthority> {
  const x509 = await loadX509();
  const certificateFile = join(dir, "ca.crt");
  const keyFile = join(dir, "ca.key");
  if (existsSync(certificateFile) && existsSync(keyFile)) {
    const certificate = new x509.X509Certificate(readFileSync(certificateFile, "utf8"));
    return { certificate, key: await importKey(readFileSync(keyFile, "utf8")) };
  }
  const keys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: "CN=understudy-ca",
    ...validity(CA_DAYS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writePrivate(keyFile, await exportKey(keys.privateKey));
  writeFileSync(certificateFile, certificate.toString("pem"));
  return { certificate, key: keys.privateKey };
}

/** Writes ca.crt, tls.crt and tls.key for `name` into `dir`. `addresses` are the IP addresses a service may be reached at. */
export async function issueCertificate(
  authority: CertificateAuthority,
  { name, dir, addresses = ["127.0.0.1"] }: { name: string; dir: string; addresses?: readonly string[] },
): Promise<void> {
  writeTls(dir, await makeCertificate(authority, { name, addresses }));
}

/** A key and its certificate, for whoever keeps them elsewhere than in a folder. */
export async function makeCertificate(
  authority: CertificateAuthority,
  { name, addresses }: { name: string; addresses: readonly string[] },
): Promise<TlsMaterial> {
  const keys = await makeKeys();
  const cert = await certify(authority, { name, addresses, publicKey: keys.publicKey });
  return { ca: authorityPem(authority), cert, key: await exportKey(keys.privateKey) };
}

/** A key made here and the request to have it certified; nobody else ever sees the key. */
export async function requestCertificate(name: string): Promise<{ key: string; request: string }> {
  const x509 = await loadX509();
  const keys = await makeKeys();
  const signingAlgorithm = ALGORITHM;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${name}`,
    keys,
    signingAlgorithm,
  });
  return { key: await exportKey(keys.privateKey), request: request.toString("pem") };
}

/** Certifies the key of `request` (PEM) as `name`, whatever name it asks for. Throws unless it is signed with that key. */
export async function signRequest(
  authority: CertificateAuthority,
  { name, request }: { name: string; request: string },
): Promise<string> {
  const x509 = await loadX509();
  const parsed = new x509.Pkcs10CertificateRequest(request);
  if (!(await parsed.verify())) throw new Error("the certificate request is not signed with its own key");
  const publicKey = await parsed.publicKey.export(ALGORITHM, ["verify"]);
  return certify(authority, { name, addresses: ["127.0.0.1"], publicKey });
}

export function authorityPem({ certificate }: CertificateAuthority): string {
  return certificate.toString("pem");
}

/** The files that `readTls` reads. */
export function writeTls(dir: string, { ca, cert, key }: TlsMaterial): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writePrivate(join(dir, "tls.key"), key);
  writeFileSync(join(dir, "tls.crt"), cert);
  writeFileSync(join(dir, "ca.crt"), ca);
}

async function certify(
  authority: CertificateAuthority,
  parts: { name: string; addresses: readonly string[]; publicKey: webcrypto.CryptoKey },
): Promise<string> {
  const x509 = await loadX509();
  const { name, addresses, publicKey } = parts;
  const use = isApplication(name)
    ? [new x509.ExtendedKeyUsageExtension([CLIENT_AUTH])]
    : [
        new x509.ExtendedKeyUsageExtension([SERVER_AUTH, CLIENT_AUTH]),
        new x509.SubjectAlternativeNameExtension([
          { type: "dns", value: PEER_NAME },
          { type: "dns", value: "localhost" },
          ...addresses.map((value) => ({ type: "ip" as const, value })),
        ]),
      ];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${name}`,
    issuer: authority.certificate.subject,
    ...validity(CERTIFICATE_DAYS),
    publicKey,
    signingKey: authority.key,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      ...use,
      await x509.AuthorityKeyIdentifierExtension.create(authority.certificate),
    ],
  });
  return certificate.toString("pem");
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, [
    "sign",
    "verify",
  ]) as Promise<webcrypto.CryptoKeyPair>;
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const x509 = await loadX509();
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const x509 = await loadX509();
  const [der] = x509.PemConverter.decode(pem);
  return webcrypto.subtle.importKey("pkcs8", der!, ALGORITHM, true, ["sign"]);
}

function validity(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - CLOCK_SLACK_MS), notAfter: new Date(now + days * 86_400_000) };
}

function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  // A serial number is a positive integer: the first bit must not be set.
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return Buffer.from(bytes).toString("hex");
}

/** The file is never readable by others, not even between creation and chmod. */
function writePrivate(file: string, text: string): void {
  const draft = `${file}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, file);
}
