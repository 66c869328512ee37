/**
 * The path of a write: lease, worker, commit, lease again, and for a critical one the Barrier. A worker is free again
 * before the Barrier is waited for. Whoever is not primary says 425, "not executed": its client, or the balancer for it,
 * sends the same keyed request to the one that is.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Barrier } from "./barrier.ts";
import type { CatalogWriter, StoredAnswer } from "./database.ts";
import { bootMs, mayWrite, type RoleOrder, readRole } from "./role.ts";
import type { Workers } from "./workers.ts";

/** At once, a 425 would burn the balancer's retries before the new primary is enabled. */
const NOT_PRIMARY_PAUSE_MS = 60;
const LET_GO_EVERY_MS = 100;

export type Answer = {
  readonly status: number;
  readonly body: string;
  readonly headers?: Record<string, string>;
};

export type Writes = {
  execute(request: {
    readonly critical: boolean;
    readonly write: (writer: CatalogWriter) => StoredAnswer;
    readonly wanted: () => boolean;
  }): Promise<Answer>;
  close(): void;
};

type Committed =
  | { readonly done: true; readonly answer: StoredAnswer; readonly epoch: number }
  | { readonly done: false };

export function problem(status: number, error: string): Answer {
  return { status, body: JSON.stringify({ error }) };
}

export function createWrites(deps: {
  readonly roleFile: string;
  readonly workers: Workers;
  readonly barrier: Barrier | undefined;
  readonly open: () => CatalogWriter;
}): Writes {
  let writer: CatalogWriter | undefined;

  const primaryNow = (): RoleOrder | undefined => {
    const order = readRole(deps.roleFile);
    return mayWrite(order, bootMs()) ? order : undefined;
  };

  /** A former primary keeps no connection that could write: the mirror owns the file now. */
  const letGo = setInterval(() => {
    if (!writer || primaryNow()) return;
    writer.close();
    writer = undefined;
  }, LET_GO_EVERY_MS);
  letGo.unref();

  function commit(write: (writer: CatalogWriter) => StoredAnswer): Committed {
    const before = primaryNow();
    if (!before) return { done: false };
    writer ??= deps.open();
    const answer = write(writer);
    // The lease may have run out during the commit: then nobody may hear that it worked.
    const after = primaryNow();
    return after?.epoch === before.epoch ? { done: true, answer, epoch: after.epoch } : { done: false };
  }

  async function notExecuted(): Promise<Answer> {
    await delay(NOT_PRIMARY_PAUSE_MS);
    return problem(425, "this instance is not the primary: not executed");
  }

  async function confirmed({ answer, epoch }: Committed & { done: true }): Promise<Answer> {
    const outcome = await deps.barrier?.confirm(epoch, () => primaryNow()?.epoch === epoch);
    switch (outcome) {
      case "confirmed":
      case undefined:
        return answerOf(answer);
      case "late":
        return problem(503, "written, but not confirmed by a shadow in time: repeat it with the same key");
      case "lease-lost":
        return notExecuted();
    }
  }

  return {
    async execute({ critical, write, wanted }) {
      if (!primaryNow()) return notExecuted();
      const ran = await deps.workers.run(() => commit(write), wanted);
      if (!ran.ran)
        return problem(503, `not executed: ${ran.why === "full" ? "the queue is full" : "the client left"}`);
      if (!ran.value.done) return notExecuted();
      return critical ? confirmed(ran.value) : answerOf(ran.value.answer);
    },
    close() {
      clearInterval(letGo);
      writer?.close();
    },
  };
}

function answerOf({ status, body, replayed }: StoredAnswer): Answer {
  return replayed ? { status, body, headers: { "idempotent-replayed": "true" } } : { status, body };
}
