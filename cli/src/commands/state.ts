/**
 * `understudy state recover RESOURCE`: after the store lost what it knew (restored, flushed), tells it the epoch that was
 * reached, so that promotion may go on. It only ever raises the epoch.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@understudy/bus/bus";
import { TOPICS } from "@understudy/bus/topics";
import type { Roles } from "@understudy/model/instance";
import { isLabel } from "@understudy/model/names";
import { openRedisStore } from "@understudy/state/redis";
import { type Authority, type Store, StoreError } from "@understudy/state/store";
import { rolesFromWire } from "@understudy/wire/roles";
import type { Command } from "commander";
import { type Connection, readSecret, withConnection } from "../connect.ts";
import { CliError } from "../error.ts";
import { type Globals, print } from "../globals.ts";
import { readLast } from "../read-message.ts";

const REDIS_WITHIN_MS = 5000;
const RETRY_MS = 50;

type RecoverOptions = Globals & { readonly epoch?: string };

export function addCommand(program: Command): void {
  const state = program.command("state").description("look after the state store");
  state
    .command("recover")
    .description("tell a store that lost its state which epoch was reached")
    .argument("<resource>")
    .option("--epoch <number>", "the epoch reached; by default the one last announced on the bus")
    .action((resource: string, _options, command: Command) =>
      recover(resource, command.optsWithGlobals<RecoverOptions>()),
    );
}

async function recover(resource: string, options: RecoverOptions): Promise<void> {
  if (!isLabel(resource)) throw new CliError("invalid", `"${resource}" is no name of a resource`);
  await withConnection(options, async (connection) => {
    const epoch =
      options.epoch === undefined ? await announcedEpoch(connection, resource) : parseEpoch(options.epoch);
    const authority = await recoverStore(connection, { resource, epoch });
    print(options, {
      text: () => `${resource}: the store is at epoch ${authority.epoch}; promotion may go on`,
      json: () => ({ resource, epoch: authority.epoch }),
    });
  });
}

function parseEpoch(text: string): number {
  const epoch = Number(text);
  if (!Number.isSafeInteger(epoch) || epoch < 1)
    throw new CliError("invalid", `--epoch "${text}" is no epoch (1, 2, ...)`);
  return epoch;
}

/** The store is raised to it and never lowered again: a word that cannot be right is not taken. */
async function announcedEpoch(connection: Connection, resource: string): Promise<number> {
  const bus = await connection.bus();
  const last = await lastRoles(bus, resource);
  if (!last)
    throw new CliError("invalid", `the bus knows no roles of "${resource}": name the epoch with --epoch`);
  if (last.resource !== resource || last.epoch < 1) {
    const text = `the bus's word on "${resource}" is about "${last.resource}" in epoch ${last.epoch}`;
    throw new CliError("failed", `${text}: name the epoch with --epoch`);
  }
  return last.epoch;
}

async function lastRoles(bus: Bus, resource: string): Promise<Roles | undefined> {
  try {
    return await readLast(bus, TOPICS.roles, { names: [resource], read: rolesFromWire });
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    throw new CliError("failed", `${error.message}: name the epoch with --epoch`, { cause: error });
  }
}

async function recoverStore(
  { context }: Connection,
  request: { resource: string; epoch: number },
): Promise<Authority> {
  if (!context.redis) throw new CliError("invalid", "the context names no Redis: add it to use this command");
  const store = openRedisStore({ url: context.redis.url, password: readSecret(context.redis.passwordFile) });
  try {
    return await recoverWhenConnected(store, request);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const message = `Redis at ${context.redis.url} did not take it: ${error.message}`;
    throw new CliError("failed", message, { cause: error });
  } finally {
    await store.close();
  }
}

/** A store answers "unreachable" until its connection stands. */
async function recoverWhenConnected(
  store: Store,
  request: { resource: string; epoch: number },
): Promise<Authority> {
  const untilMs = performance.now() + REDIS_WITHIN_MS;
  for (;;) {
    try {
      return await store.recover(request);
    } catch (error) {
      const isAway = error instanceof StoreError && error.code === "unreachable";
      if (!isAway || performance.now() > untilMs) throw error;
    }
    await sleep(RETRY_MS);
  }
}
