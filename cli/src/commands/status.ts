/** `understudy status [RESOURCE]`: who is primary, how far the shadows are, which share each instance takes, who is healthy. */

import { create, fromBinary, toJson } from "@bufbuild/protobuf";
import type { Bus } from "@understudy/bus/bus";
import { subjectOf, TOPICS } from "@understudy/bus/topics";
import type { Instance } from "@understudy/model/instance";
import { type ResourceStatus, ResourceStatusSchema, StatusRequestSchema } from "@understudy/wire/gen/control";
import { VerdictSchema } from "@understudy/wire/gen/health";
import { type WeightDecision, WeightDecisionSchema } from "@understudy/wire/gen/weight";
import { rolesFromWire, verdictFromWire } from "@understudy/wire/roles";
import type { Command } from "commander";
import { type Connection, call, withConnection } from "../connect.ts";
import { CliError } from "../error.ts";
import { type Globals, print, renderTable } from "../globals.ts";

const PROBE_TIMEOUT_MS = 1000;
const PPM_PER_PERCENT = 10_000;
const NOT_KNOWN = "-";

type Services = Readonly<Record<string, string>>;

export function addCommand(program: Command): void {
  program
    .command("status")
    .description("show roles, shares, lag and health")
    .argument("[resource]", "only this one", "")
    .action((resource: string, _options, command: Command) =>
      status(resource, command.optsWithGlobals<Globals>()),
    );
}

async function status(resource: string, globals: Globals): Promise<void> {
  await withConnection(globals, async (connection) => {
    const server = { service: "replicator", address: connection.context.grpc.replicator };
    const request = create(StatusRequestSchema, { resource });
    const { resources } = await call(server, (options) => connection.replication().status(request, options));
    if (resource && resources.length === 0)
      throw new CliError("invalid", `no resource is named "${resource}"`);
    const services = await probeServices(connection);
    const bus = await connection.bus();
    const sections = await Promise.all(resources.map((found) => renderResource(found, bus)));
    print(globals, {
      text: () => [renderServices(services), ...sections].join("\n\n"),
      json: () => ({ services, resources: resources.map((found) => toJson(ResourceStatusSchema, found)) }),
    });
  });
}

async function probeServices({ context }: Connection): Promise<Services> {
  const found = Object.entries(context.probes).map(async ([name, address]) => [name, await probe(address!)]);
  return Object.fromEntries(await Promise.all(found));
}

async function probe(address: string): Promise<string> {
  try {
    const response = await fetch(`http://${address}/readyz`, {
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    return (await response.text()).trim();
  } catch {
    return "does not answer";
  }
}

function renderServices(services: Services): string {
  const words = Object.entries(services).map(([name, state]) => `${name} ${state}`);
  return `services: ${words.join(", ") || "the context names none"}`;
}

async function renderResource(status: ResourceStatus, bus: Bus): Promise<string> {
  if (!status.roles) return "";
  const roles = rolesFromWire(status.roles);
  const weights = await lastWeights(bus, roles.resource);
  const rows = await Promise.all(
    roles.instances.map(async (instance) => [
      instance.name,
      instance.role,
      instance.phase,
      await healthOf(bus, { resource: roles.resource, instance }),
      shareOf(weights, instance.name),
      ...progressOf(status, instance.name),
      instance.address || NOT_KNOWN,
    ]),
  );
  const heads = ["INSTANCE", "ROLE", "PHASE", "HEALTH", "READS", "VERSION", "LAG", "IN SYNC", "ADDRESS"];
  const title = `${roles.resource}: epoch ${roles.epoch}, primary ${roles.primary || "none"}, lease ${status.lease || NOT_KNOWN}`;
  return `${title}\n${renderTable([heads, ...rows])}`;
}

async function lastWeights(bus: Bus, resource: string): Promise<WeightDecision | undefined> {
  const last = await bus.last(subjectOf(TOPICS.weights, resource));
  return last && fromBinary(WeightDecisionSchema, last.data);
}

/** A verdict about an earlier incarnation says nothing about this one. */
async function healthOf(
  bus: Bus,
  { resource, instance }: { resource: string; instance: Instance },
): Promise<string> {
  const last = await bus.last(subjectOf(TOPICS.health, resource, instance.name));
  const verdict = last && verdictFromWire(fromBinary(VerdictSchema, last.data));
  return verdict?.incarnation === instance.incarnation ? verdict.state : NOT_KNOWN;
}

function shareOf(weights: WeightDecision | undefined, instance: string): string {
  const share = weights?.shares.find((candidate) => candidate.instance === instance);
  return share ? `${(share.readPpm / PPM_PER_PERCENT).toFixed(1)} %` : NOT_KNOWN;
}

function progressOf(status: ResourceStatus, instance: string): string[] {
  const state = status.states.find((candidate) => candidate.instance === instance);
  if (!state) return [NOT_KNOWN, NOT_KNOWN, NOT_KNOWN];
  const isPrimary = status.roles?.primary === instance;
  const inSync = status.inSync.includes(instance) ? "yes" : "no";
  return [
    String(state.visible?.version ?? 0n),
    isPrimary ? NOT_KNOWN : `${Math.round(state.lagMs)} ms`,
    isPrimary ? NOT_KNOWN : inSync,
  ];
}
