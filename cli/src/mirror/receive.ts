/**
 * The receiving side of `understudy mirror`: pairs with senders that bring its token, and opens an end for each folder that a
 * paired sender asks for, below the one folder it was given and nowhere else.
 */

import { createHash } from "node:crypto";
import { mkdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";
import type { MirrorListener, MirrorShadow } from "@understudy/mirror/engine";
import { listenMirror } from "@understudy/mirror/listener";
import { isLabel } from "@understudy/model/names";
import { systemClock } from "@understudy/service/clock";
import { type Admission, RefusedError, serveEnrolment } from "@understudy/service/enrolment-server";
import { fingerprintOf, formatToken, hashSecret, newSecret } from "@understudy/service/enrolment-token";
import { authorityPem } from "@understudy/service/tls";
import { z } from "zod";
import { certificateName, openReceiver } from "./pairings.ts";
import type { ListenAt } from "./place.ts";
import { DATA_RESOURCE, OPEN_KEPT_MS } from "./session.ts";

const FOLDERS_MAX = 64;

export type ReceiveEvent =
  | {
      readonly event: "listening";
      readonly port: number;
      readonly token: string;
      readonly expiresAtMs: number;
    }
  | { readonly event: "paired"; readonly name: string }
  | { readonly event: "opened"; readonly folder: string; readonly from: string }
  | { readonly event: "closed"; readonly folder: string; readonly from: string };

export type ReceiveOptions = {
  readonly root: string;
  readonly listen: ListenAt;
  /** Own files: authority and certificates. */
  readonly stateFolder: string;
  readonly tokenMs: number;
  readonly say: (event: ReceiveEvent) => void;
  readonly onError: (error: Error) => void;
};

const openSchema = z.strictObject({
  folder: z.string().min(1).max(4096),
  paths: z.array(z.string().min(1).max(4096)).min(1).max(64),
  consistency: z.enum(["none", "sqlite"]),
  incarnation: z.string().regex(/^[\w-]{1,64}$/),
});

type Opened = {
  readonly end: MirrorShadow;
  readonly dir: string;
  readonly incarnation: string;
  readonly from: string;
  readonly instance: string;
  keptUntilMs: number;
};

/** Resolves when it listens. */
export async function receive(options: ReceiveOptions): Promise<{ close(): Promise<void> }> {
  const { listen, onError, say } = options;
  const root = resolve(options.root);
  const { authority, tls } = await openReceiver(options.stateFolder);
  const invitation = inviteOne(options);
  const opened = new Map<string, Opened>();
  const dataPort = listen.port === 0 ? 0 : listen.port + 1;
  const listener = await listenMirror({
    host: listen.host,
    port: dataPort,
    tls,
    clock: systemClock,
    onError,
  });
  const turn = inTurn();
  const server = await serveEnrolment({
    ...listen,
    authority: async () => authority,
    tls,
    nowMs: Date.now,
    admit: invitation.admit,
    calls: {
      "/v1/open": (body, peer) => turn(() => open({ root, listener, opened, say }, body, peer)),
      "/v1/close": (body, peer) => turn(() => close({ opened, say }, body, peer)),
    },
    onError,
  }).catch(async (error) => {
    await listener.close();
    throw error;
  });
  const token = formatToken({
    secret: invitation.secret,
    fingerprint: fingerprintOf(authorityPem(authority)),
    address: `:${server.port}`,
  });
  say({ event: "listening", port: server.port, token, expiresAtMs: invitation.expiresAtMs });
  return {
    close: async () => {
      await server.close();
      for (const { end } of opened.values()) await end.close();
      await listener.close();
    },
  };
}

/** One token, for one sender, for a while. */
function inviteOne({ tokenMs, say }: ReceiveOptions) {
  const secret = newSecret();
  const hash = hashSecret(secret);
  const expiresAtMs = Date.now() + tokenMs;
  let used = false;
  const remedy = "start the receiver again for a new one";
  return {
    secret,
    expiresAtMs,
    admit: (given: Buffer, about: Readonly<Record<string, string>>): Admission => {
      if (hashSecret(given) !== hash) return { admitted: false, why: `this token is not known: ${remedy}` };
      if (used) return { admitted: false, why: `this token was used already: ${remedy}` };
      if (Date.now() > expiresAtMs) return { admitted: false, why: `this token has expired: ${remedy}` };
      used = true;
      const label = about.name && isLabel(about.name) ? about.name : "sender";
      const name = certificateName(label);
      say({ event: "paired", name: label });
      return { admitted: true, name, told: {} };
    },
  };
}

type Rooms = {
  readonly root: string;
  readonly listener: MirrorListener;
  readonly opened: Map<string, Opened>;
  readonly say: (event: ReceiveEvent) => void;
};

/** Said again by a living sender every few seconds: that is what keeps the folder its own. */
async function open({ root, listener, opened, say }: Rooms, body: unknown, peer: string): Promise<unknown> {
  const wanted = openSchema.safeParse(body);
  if (!wanted.success) throw new RefusedError(400, "not a request to open a folder: another version?");
  const { folder, incarnation } = wanted.data;
  const dir = below(root, folder);
  const present = opened.get(dir);
  const keptUntilMs = performance.now() + OPEN_KEPT_MS;
  if (present?.incarnation === incarnation) {
    present.keptUntilMs = keptUntilMs;
    return { port: listener.port, instance: present.instance };
  }
  if (present && present.keptUntilMs > performance.now())
    throw new RefusedError(409, `${folder} is being filled by ${present.from} already`);
  refuseNested(opened, dir);
  if (!present && opened.size >= FOLDERS_MAX)
    throw new RefusedError(429, `${FOLDERS_MAX} folders are open already`);
  await present?.end.close();
  opened.delete(dir);
  const instance = createHash("sha256").update(dir).digest("hex").slice(0, 32);
  const end = await openEnd(listener, { ...wanted.data, dir, instance });
  opened.set(dir, { end, dir, incarnation, from: peer, instance, keptUntilMs });
  say({ event: "opened", folder: dir, from: peer });
  return { port: listener.port, instance };
}

async function openEnd(
  listener: MirrorListener,
  wanted: z.infer<typeof openSchema> & { dir: string; instance: string },
): Promise<MirrorShadow> {
  const { dir, instance, incarnation, paths, consistency } = wanted;
  try {
    mkdirSync(dir, { recursive: true });
    const workDir = join(dirname(dir), `.${basename(dir)}.understudy`);
    if (statSync(dirname(dir)).dev !== statSync(dir).dev)
      throw new RefusedError(409, `${dir} is a file system of its own: name a folder within it`);
    // Who copies folders expects folders there, not links into a place of ours.
    const state = { resource: DATA_RESOURCE, dir, paths, consistency, view: "files" as const };
    return await listener.openShadow({ state, instance, incarnation, workDir });
  } catch (error) {
    if (error instanceof RefusedError) throw error;
    throw new RefusedError(409, `${dir} cannot be opened there: ${(error as Error).message}`);
  }
}

async function close(
  { opened, say }: Pick<Rooms, "opened" | "say">,
  body: unknown,
  peer: string,
): Promise<unknown> {
  const { incarnation } = z.object({ incarnation: z.string() }).parse(body);
  const mine = [...opened.values()].find((each) => each.incarnation === incarnation && each.from === peer);
  if (!mine) return {};
  opened.delete(mine.dir);
  await mine.end.close();
  say({ event: "closed", folder: mine.dir, from: peer });
  return {};
}

/** A sender names a folder as it likes; what it gets lies below ours. */
function below(root: string, folder: string): string {
  const dir = resolve(root, folder);
  if (dir !== root && !dir.startsWith(root === sep ? sep : `${root}${sep}`))
    throw new RefusedError(403, `${folder} is not below ${root}, which is all that is received here`);
  return dir;
}

function refuseNested(opened: ReadonlyMap<string, Opened>, dir: string): void {
  for (const other of opened.keys()) {
    if (other !== dir && (other.startsWith(`${dir}${sep}`) || dir.startsWith(`${other}${sep}`)))
      throw new RefusedError(409, `${other} is being filled already, and one of them lies within the other`);
  }
}

/** Opening takes a while: two requests for one folder must not meet. */
function inTurn() {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work, work);
    last = done.catch(() => undefined);
    return done;
  };
}
