/** Effects as people review them in a scenario. */

import type { Effect } from "../events.ts";

/** One line for the effects that people review; the rest is noise in a scenario. */
export function lineOf(effect: Effect): string | undefined {
  switch (effect.kind) {
    case "claim":
    case "abandon":
      return `${effect.kind} epoch=${effect.epoch}`;
    case "commit":
      return `commit epoch=${effect.epoch} primary=${effect.primary.instance} inSync=${effect.inSync.map((each) => each.instance).join(",")}`;
    case "fence":
    case "stop-writes":
    case "open-shadow":
    case "start":
    case "end":
    case "remove":
      return `${effect.kind} ${effect.member.instance}`;
    case "hand-over":
      return `hand-over to ${effect.host}`;
    case "ask-promises":
      return `ask-promises ${effect.hosts.join(",")}`;
    case "dismiss":
      return `dismiss ${effect.member.instance} on ${effect.host}`;
    case "salvage":
      return `salvage for ${effect.instances.join(",")} within ${effect.withinMs} ms`;
    case "promote":
      return `promote ${effect.member.instance} epoch=${effect.epoch}`;
    case "open-primary":
      return `open-primary ${effect.member.instance} from version ${effect.from.version}`;
    case "set-in-sync":
      return `set-in-sync ${effect.members.map((each) => each.instance).join(",") || "nobody"}`;
    case "publish-roles":
      return `roles epoch=${effect.roles.epoch} primary=${effect.roles.primary || "nobody"}: ${effect.roles.instances
        .map((each) => `${each.name} ${each.role} ${each.phase}`)
        .join(", ")}`;
    case "announce":
      return `"${effect.text}"`;
    case "answer":
      return `answer ${effect.id}: ${effect.answer.done ? "done" : effect.answer.why}`;
    case "read-store":
    case "renew":
    case "save":
    case "watch":
    case "open-gate":
    case "close-gate":
    case "set-role":
    case "keep":
      return undefined;
  }
}
