/**
 * The store in Redis: one hash per resource and one Lua script per compare-and-set, so that each step of a failover is
 * decided by the server in one go. Nothing queues while the server is away: every call fails soon and says so.
 */

import type { Position } from "@understudy/model/position";
import { Redis } from "ioredis";
import { checkDurability } from "./durability.ts";
import { type Answer, membersTo, readAnswer, readScript, SCRIPTS, type ScriptName } from "./scripts.ts";
import { type Authority, type Outcome, type ShadowRecord, type Store, StoreError } from "./store.ts";

const COMMAND_TIMEOUT_MS = 500;
const CONNECT_TIMEOUT_MS = 500;
const RECONNECT_MAX_MS = 250;

export type RedisOptions = {
  /** "redis://127.0.0.1:6379" */
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly commandTimeoutMs?: number;
};

/** Returns at once; connects, and connects again after a loss, by itself. */
export function openRedisStore(options: RedisOptions): Store {
  const redis = connect(options);
  const address = new URL(options.url).host;
  let closed = false;

  /** One script on one resource. Throws StoreError. */
  async function run(
    name: ScriptName,
    resource: string,
    argv: readonly (string | number)[],
  ): Promise<Answer> {
    return runKeys(name, { resource, keys: [authorityKey(resource)], argv });
  }
  async function runKeys(
    name: ScriptName,
    call: { resource: string; keys: readonly string[]; argv: readonly (string | number)[] },
  ): Promise<Answer> {
    const what = `redis ${address}: ${name} ${call.resource}`;
    if (closed) throw new StoreError("closed", `${what}: the store is closed`);
    const reply = await failuresNamed(what, () => commandOf(redis, name)(...call.keys, ...call.argv));
    return readAnswer(call.resource, reply);
  }

  return {
    read: async (resource) => (await run("read", resource, [])).authority,
    claim: async ({ resource, epoch, coordinator, ttlMs }) => {
      const answer = await run("claim", resource, [epoch, coordinator, ttlMs]);
      return outcome(answer, () => ({ epoch, coordinator, expiresInMs: ttlMs }));
    },
    abandon: async ({ resource, epoch, coordinator }) => {
      await run("abandon", resource, [epoch, coordinator]);
    },
    commit: async (request) => {
      const { epoch, coordinator, primary, holder, leaseMs, inSync } = request;
      const answer = await run("commit", request.resource, [
        epoch,
        coordinator,
        primary.instance,
        primary.incarnation,
        holder,
        leaseMs,
        membersTo(inSync),
      ]);
      return outcome(answer, (authority) => authority);
    },
    renew: async ({ resource, epoch, holder }) => {
      const answer = await run("renew", resource, [epoch, holder]);
      return outcome(answer, (authority) => authority);
    },
    setInSync: async ({ resource, epoch, revision, members }) => {
      const answer = await run("set-in-sync", resource, [epoch, revision, membersTo(members)]);
      return outcome(answer, (authority) => authority.inSyncRevision);
    },
    savePosition: async ({ resource, position }) => {
      const answer = await run("save-position", resource, positionTo(position));
      return outcome(answer, () => position);
    },
    saveShadow: async ({ resource, member, position }) => {
      const answer = await runKeys("save-shadow", {
        resource,
        keys: [authorityKey(resource), shadowKey(resource, member.instance)],
        argv: [...positionTo(position), member.instance, member.incarnation],
      });
      return outcome(answer, () => position);
    },
    readShadow: async (resource, instance) => {
      const what = `redis ${address}: read shadow ${instance}`;
      return shadowFrom(await failuresNamed(what, () => redis.hgetall(shadowKey(resource, instance))));
    },
    recover: async ({ resource, epoch }) => (await run("recover", resource, [epoch])).authority,
    checkDurability: () =>
      failuresNamed(`redis ${address}: config get`, () => checkDurability(redis, address)),
    close: async () => {
      closed = true;
      redis.disconnect();
    },
  };
}

/** What stands in the options goes before what stands in the URL; the client would take an empty password from the URL first. */
export function accessOf({ url, username, password }: RedisOptions): {
  readonly address: string;
  readonly username: string;
  readonly password: string;
} {
  const address = new URL(url);
  const inUrl = {
    username: decodeURIComponent(address.username),
    password: decodeURIComponent(address.password),
  };
  address.username = "";
  address.password = "";
  return {
    address: address.href,
    username: username ?? inUrl.username,
    password: password ?? inUrl.password,
  };
}

function connect(options: RedisOptions): Redis {
  const { address, username, password } = accessOf(options);
  const redis = new Redis(address, {
    ...(username === "" ? {} : { username }),
    ...(password === "" ? {} : { password }),
    commandTimeout: options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    enableOfflineQueue: false,
    // A command whose fate is unknown must not run a second time behind our back.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(20 * times, RECONNECT_MAX_MS),
  });
  for (const name of Object.keys(SCRIPTS) as ScriptName[]) {
    redis.defineCommand(name, { numberOfKeys: SCRIPTS[name], lua: readScript(name) });
  }
  // Every call reports its own failure; without a listener the client would print the connection's errors.
  redis.on("error", () => undefined);
  return redis;
}

function authorityKey(resource: string): string {
  return `understudy:{${resource}}:authority`;
}
function shadowKey(resource: string, instance: string): string {
  return `understudy:{${resource}}:shadow:${instance}`;
}

type ScriptCall = (...args: (string | number)[]) => Promise<unknown>;

function commandOf(redis: Redis, name: ScriptName): ScriptCall {
  return (redis as unknown as Record<string, ScriptCall>)[name]!.bind(redis);
}

function outcome<T>(answer: Answer, value: (authority: Authority) => T): Outcome<T> {
  if (answer.saved) return { saved: true, value: value(answer.authority) };
  return { saved: false, why: answer.why, found: answer.authority };
}

function positionTo({ epoch, version, hlc, root }: Position): (string | number)[] {
  return [epoch, version, hlc.wallMs, hlc.counter, root];
}

function shadowFrom(fields: Readonly<Record<string, string>>): ShadowRecord | undefined {
  if (fields.epoch === undefined) return undefined;
  const { instance = "", incarnation = "", root = "" } = fields;
  const hlc = { wallMs: Number(fields.wall_ms), counter: Number(fields.counter) };
  return {
    member: { instance, incarnation },
    position: { epoch: Number(fields.epoch), version: Number(fields.version), hlc, root },
  };
}

async function failuresNamed<T>(what: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw asStoreError(what, cause as Error);
  }
}

/** Words of the server that mean "not now" rather than "never". */
const PASSING = /^(LOADING|BUSY|TRYAGAIN|MASTERDOWN|CLUSTERDOWN)/;

function asStoreError(what: string, cause: Error): StoreError {
  if (cause instanceof StoreError) return cause;
  const message = `${what}: ${cause.message}`;
  if (cause.message === "Command timed out") return new StoreError("timeout", message, { cause });
  if (cause.name === "ReplyError" && !PASSING.test(cause.message)) {
    return new StoreError("refused", message, { cause });
  }
  return new StoreError("unreachable", message, { cause });
}
