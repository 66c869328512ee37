/** Generated passwords in files that only their owner can read: they appear in no argument list and no environment. */

import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const PASSWORD_BYTES = 18;

export type Credentials = {
  /** Empty: the server asks for none. */
  readonly user: string;
  readonly passwordFile: string;
};

export function newPassword(): string {
  return randomBytes(PASSWORD_BYTES).toString("base64url");
}

export function writePassword(
  folder: string,
  { name, password }: { name: string; password: string },
): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, `${name}.password`);
  writeFileSync(file, password, { mode: 0o600 });
  return file;
}

/** Splits `nats://user:password@host` into what a client is told apart: the address, the user and the password. */
export function splitUrl(text: string): { url: string; user: string; password: string } {
  const url = new URL(text);
  const [user, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
  url.username = "";
  url.password = "";
  return { url: url.href.replace(/\/$/, ""), user, password };
}
