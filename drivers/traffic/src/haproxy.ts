/**
 * Traffic driver for HAProxy 2.6 and later over its runtime API, for a configuration that haproxy/config.ts rendered.
 * Everything it knows it can read back from HAProxy; what it remembers between calls only saves the reading.
 */

import type { PoolSpec } from "@understudy/model/policy";
import { type Applied, DriverError, type Plan, type PoolCounters, type TrafficDriver } from "./driver.ts";
import { slotMapFile } from "./haproxy/config.ts";
import { type RuntimeTls, runtimeConnector } from "./haproxy/runtime-address.ts";
import { openSession, type Session } from "./haproxy/session.ts";
import {
  type Change,
  type Command,
  changeTo,
  PLUG,
  type PoolState,
  parsePlanKey,
  parsePoolState,
  planOf,
} from "./haproxy/slots.ts";
import { BACKEND_LINE, findMap, parseMap, parseStat, type StatLine } from "./haproxy/stats.ts";
import { checkPlan, refuseOlder } from "./plan.ts";

/** Longer than `timeout connect`: a request that is just being sent again must find the new target first. */
const CUT_AFTER_MS = 60;
const STAT_BACKEND_AND_SERVERS = 6;

type Pool = Pick<PoolSpec, "name" | "socket" | "backends">;

/** Does not connect before its first call. `tls`: for a runtime API across a network. */
export function openHaproxyDriver(pool: Pool, tls?: RuntimeTls): TrafficDriver {
  const session = openSession(pool.socket, runtimeConnector(pool.socket, tls));
  const cuts = new Set<NodeJS.Timeout>();
  let known: { state: PoolState; generation: number } | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  const findMapPath = rememberMapPath(session, pool.name);

  /** One call at a time: two changes that are worked out from the same state would undo each other. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work);
    turn = result.catch(() => undefined);
    return result;
  }

  /** What is known is good as long as HAProxy itself still names the same last plan: another driver may have set one. */
  async function presentState(): Promise<PoolState> {
    if (known?.generation !== session.generation()) return freshState();
    const { state } = known;
    const [slots = ""] = await session.run([`show map ${state.map}`]);
    const found = parsePlanKey(parseMap(slots));
    return found.epoch === state.epoch && found.revision === state.revision ? state : freshState();
  }

  async function freshState(): Promise<PoolState> {
    known = undefined;
    const state = await readState(session, { ...pool, map: await findMapPath() });
    known = { state, generation: session.generation() };
    return state;
  }

  async function apply(plan: Plan, signal?: AbortSignal): Promise<Applied> {
    signal?.throwIfAborted();
    const state = await presentState();
    refuseOlder(plan, state);
    const change = changeTo(state, plan, pool.backends);
    const { generation } = known!;
    // Whatever happens on the way, the next call must not believe in the state before it.
    known = undefined;
    check(change.commands, await session.run(change.commands.map((command) => command.text)));
    known = { state: change.next, generation };
    cutLater(change);
    const shares = plan.targets.map(({ instance }, index) => ({ instance, setPpm: change.setPpm[index]! }));
    return { epoch: plan.epoch, revision: plan.revision, shares };
  }

  function cutLater({ closedWrites }: Change): void {
    if (closedWrites.length === 0) return;
    const timer = setTimeout(() => {
      cuts.delete(timer);
      // Best effort: an HAProxy that has gone has no sessions left to cut.
      inTurn(() => cut(closedWrites)).catch(() => undefined);
    }, CUT_AFTER_MS);
    cuts.add(timer);
  }

  /** A slot that has been opened again since must keep its requests. */
  async function cut(closedWrites: readonly string[]): Promise<void> {
    const { slots } = await presentState();
    const shut = slots.filter(({ name, write }) => closedWrites.includes(name) && write.admin === "maint");
    await session.run(shut.map(({ name }) => `shutdown sessions server ${pool.backends.writes}/${name}`));
  }

  return {
    apply: async (plan, signal) => {
      checkPlan(plan);
      return inTurn(() => apply(plan, signal));
    },
    read: () => inTurn(async () => planOf(await freshState(), pool.name)),
    counters: async () => readCounters(session, { ...pool, map: await findMapPath() }),
    close: async () => {
      for (const timer of cuts) clearTimeout(timer);
      session.close();
    },
  };
}

/** The path by which HAProxy names the map of slots; asked for once per connection. */
function rememberMapPath(session: Session, pool: string): () => Promise<string> {
  let known: { path: string; generation: number } | undefined;
  return async () => {
    if (known?.generation === session.generation()) return known.path;
    const [listing = ""] = await session.run(["show map"]);
    known = { path: mapIn(listing, pool), generation: session.generation() };
    return known.path;
  };
}

async function readState(session: Session, { backends, map }: Pool & { map: string }): Promise<PoolState> {
  const { reads, writes } = backends;
  const answers = await session.run([
    `show map ${map}`,
    `show servers state ${reads}`,
    `show servers state ${writes}`,
  ]);
  return parsePoolState({ map, slots: answers[0]!, reads: answers[1]!, writes: answers[2]! });
}

function mapIn(listing: string, pool: string): string {
  const map = findMap(listing, slotMapFile(pool));
  if (map !== undefined) return map;
  throw new DriverError(
    "refused",
    `haproxy: no map "${slotMapFile(pool)}": its configuration is not one that Understudy rendered`,
  );
}

async function readCounters(
  session: Session,
  { backends, map }: Pool & { map: string },
): Promise<PoolCounters> {
  const stat = (backend: string) => `show stat ${backend} ${STAT_BACKEND_AND_SERVERS} -1`;
  const commands = [`show map ${map}`, stat(backends.reads), stat(backends.writes)];
  const [slots, reads, writes] = await session.run(commands);
  return countersOf(parseMap(slots!), { reads: parseStat(reads!), writes: parseStat(writes!) });
}

/** A slot counts on when another instance takes it: rates are differences, and a first sight is no difference. */
function countersOf(
  slots: ReadonlyMap<string, string>,
  { reads, writes }: { reads: readonly StatLine[]; writes: readonly StatLine[] },
): PoolCounters {
  const writeLines = new Map(writes.map((line) => [line.server, line]));
  const targets = reads.flatMap((read) => {
    const instance = slots.get(read.server) ?? "-";
    const write = writeLines.get(read.server);
    if (instance === "-" || !write) return [];
    return [
      {
        instance,
        reads: read.requests,
        writes: write.requests,
        errors: read.connectErrors + read.responseErrors + write.connectErrors + write.responseErrors,
        inFlight: read.inFlight + write.inFlight,
        bytesIn: read.bytesIn + write.bytesIn,
        bytesOut: read.bytesOut + write.bytesOut,
        readUp: read.up,
        writeUp: write.up,
      },
    ];
  });
  const [readTotal, writeTotal] = [totalOf(reads), totalOf(writes)];
  return {
    targets,
    readsOffered: readTotal.requests,
    writesOffered: writeTotal.requests,
    queued: readTotal.queued + writeTotal.queued,
    errors: readTotal.answered5xx + writeTotal.answered5xx,
    bytesIn: readTotal.bytesIn + writeTotal.bytesIn,
    bytesOut: readTotal.bytesOut + writeTotal.bytesOut,
  };
}

/** A backend counts a request when it arrives, before it waits: what is offered, not what is served. The plug's own do not count. */
function totalOf(lines: readonly StatLine[]): StatLine {
  const total = lines.find((line) => line.server === BACKEND_LINE);
  if (!total) throw new DriverError("refused", "haproxy: no totals of the backend");
  const plug = lines.find((line) => line.server === PLUG);
  return { ...total, requests: total.requests - (plug?.requests ?? 0) };
}

function check(commands: readonly Command[], answers: readonly string[]): void {
  for (const [index, { text, says }] of commands.entries()) {
    const answer = answers[index] ?? "";
    const obeyed = says === "nothing" ? answer === "" : /changed from|no need to change/.test(answer);
    if (!obeyed) throw new DriverError("refused", `haproxy: ${text}: ${answer.slice(0, 200) || "no answer"}`);
  }
}
