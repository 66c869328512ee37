import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { POSITION_ZERO } from "@understudy/model/position";
import type { Authority } from "@understudy/state/store";
import { decide } from "./decide.ts";
import type { Effect, Event } from "./events.ts";
import { exampleSpec } from "./example-spec.ts";
import { newResource } from "./resource-state.ts";

const MEMBER = { instance: "app-2", incarnation: "i2" };
const TICK_MS = 50;

/** Its primary is on host-b; we hold an in-sync shadow. */
const ELSEWHERE: Authority = {
  resource: "app",
  epoch: 4,
  primary: { instance: "app-1", incarnation: "i1" },
  lease: { holder: "host-b", sequence: 9, durationMs: exampleSpec.lease.durationMs },
  claim: undefined,
  inSync: [MEMBER],
  inSyncRevision: 1,
  position: POSITION_ZERO,
};

function openHostA() {
  let state = newResource(exampleSpec, "host-a");
  let bootMs = 0;
  const tell = (event: Event): readonly Effect[] => {
    const { next, effects } = decide(state, event, { nowMs: bootMs, bootMs });
    state = next;
    return effects;
  };
  const passTime = (ms: number): readonly Effect[] => {
    const effects: Effect[] = [];
    for (const untilMs = bootMs + ms; bootMs < untilMs; ) {
      bootMs += TICK_MS;
      effects.push(...tell({ kind: "tick" }));
    }
    return effects;
  };
  const running = { resource: "app", ...MEMBER, address: "127.0.0.1:1", pid: 1, pidStartTicks: 1 };
  tell({ kind: "adopted", kept: undefined, running: [running] });
  tell({ kind: "store-read", authority: ELSEWHERE });
  tell({ kind: "shadow-opened", member: MEMBER });
  const promote = { kind: "promote", target: "app-2", reason: "host-b burns" } as const;
  return { tell, passTime, ask: () => tell({ kind: "asked", id: 1, request: promote }) };
}

function kindsOf(effects: readonly Effect[]): string[] {
  return effects.map(({ kind }) => kind);
}

describe("the primary runs on another host", () => {
  test("its life cannot be judged from here: nothing is claimed by itself", () => {
    assert.ok(!kindsOf(openHostA().passTime(10_000)).includes("claim"));
  });

  test("a promotion that somebody asks for waits the whole lease out before its commit", () => {
    const { tell, passTime, ask } = openHostA();
    assert.ok(kindsOf(ask()).includes("claim"));
    const claim = { epoch: 5, coordinator: "host-a", expiresInMs: 6_000 };
    const claimed = tell({ kind: "claimed", outcome: { saved: true, value: claim } });
    const { durationMs } = exampleSpec.lease;
    const waiting = [...claimed, ...passTime(durationMs - TICK_MS)];
    assert.ok(!kindsOf(waiting).includes("commit"), "the old primary may still write");
    assert.ok(kindsOf(passTime(TICK_MS)).includes("commit"));
  });
});
