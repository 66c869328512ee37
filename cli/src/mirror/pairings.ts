/**
 * Which machines know each other: the receiver's own authority, and the sender's certificates of the receivers it was paired
 * with. All below one folder of the user, readable by nobody else.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { homedir, hostname } from "node:os";
import { join } from "node:path";
import { isLabel } from "@understudy/model/names";
import {
  type CertificateAuthority,
  createAuthority,
  issueCertificate,
  readTls,
  type TlsMaterial,
  writeTls,
} from "@understudy/service/tls";

/** Only certificates of this kind may carry mirror data. */
const NAME_PREFIX = "replicator-";

/** `XDG_STATE_HOME`, as the freedesktop.org specification of base directories has it. */
export function stateFolder(env: NodeJS.ProcessEnv): string {
  const base = env.XDG_STATE_HOME || join(homedir(), ".local", "state");
  return join(base, "understudy", "mirror");
}

/** What a machine is called in its certificate. */
export function certificateName(label: string): string {
  return `${NAME_PREFIX}${label}`;
}

export function ownLabel(): string {
  const label = hostname().split(".")[0]?.toLowerCase() ?? "";
  return isLabel(label) ? label : "sender";
}

export async function openReceiver(
  folder: string,
): Promise<{ authority: CertificateAuthority; tls: TlsMaterial }> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const authority = await createAuthority(join(folder, "authority"));
  const dir = join(folder, "receiver");
  await issueCertificate(authority, { name: certificateName("receiver"), dir });
  return { authority, tls: readTls(dir) };
}

function peerFolder(folder: string, address: string): string {
  return join(folder, "peers", createHash("sha256").update(address).digest("hex").slice(0, 24));
}

/** Undefined when this machine was never paired with that address. */
export function readPairing(folder: string, address: string): TlsMaterial | undefined {
  const dir = peerFolder(folder, address);
  return existsSync(join(dir, "tls.crt")) ? readTls(dir) : undefined;
}

export function savePairing(folder: string, address: string, tls: TlsMaterial): void {
  writeTls(peerFolder(folder, address), tls);
}
