/**
 * `understudy status [RESOURCE]`: who is primary, how far the shadows are, which share each instance takes, who is healthy,
 * how good the forecast is.
 */

import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import type { Bus } from "@understudy/bus/bus";
import { TOPICS } from "@understudy/bus/topics";
import type { Instance, Roles, VerdictState } from "@understudy/model/instance";
import { type ResourceStatus, ResourceStatusSchema, StatusRequestSchema } from "@understudy/wire/gen/control";
import { type Prediction, ScorecardSchema } from "@understudy/wire/gen/prediction";
import { ReplicationPhase } from "@understudy/wire/gen/replication";
import type { InstanceShare } from "@understudy/wire/gen/weight";
import { rolesFromWire, verdictFromWire } from "@understudy/wire/roles";
import type { Command } from "commander";
import { type Connection, withConnection } from "../connect.ts";
import { CliError } from "../error.ts";
import { type Globals, percentOf, print, renderTable } from "../globals.ts";
import { statusOfAll } from "../leaders.ts";
import { bytesText } from "../mirror/progress.ts";
import { readLast } from "../read-message.ts";
import { renderForecast } from "../render-forecast.ts";
import { copyText, waitForCopies } from "../wait-for-copies.ts";

const PROBE_TIMEOUT_MS = 1000;
const NOT_KNOWN = "-";

type StatusOptions = Globals & { readonly wait: boolean };

type Services = Readonly<Record<string, string>>;

export function addCommand(program: Command): void {
  program
    .command("status")
    .description("show roles, shares, lag and health")
    .argument("[resource]", "only this one", "")
    .option("--wait", "show copies under way until the shadows that are wanted are in sync", false)
    .action((resource: string, _options, command: Command) =>
      status(resource, command.optsWithGlobals<StatusOptions>()),
    );
}

async function status(resource: string, globals: StatusOptions): Promise<void> {
  await withConnection(globals, async (connection) => {
    if (globals.wait) await waitForCopies(connection, { resource, json: globals.output === "json" });
    const resources = await statusOfAll(connection, create(StatusRequestSchema, { resource }));
    if (resource && resources.length === 0)
      throw new CliError("invalid", `no resource is named "${resource}"`);
    const services = await probeServices(connection);
    const bus = await connection.bus();
    const complain = ({ message }: CliError) => process.stderr.write(`understudy: ${message}\n`);
    const views = await Promise.all(resources.map((found) => viewResource(bus, found, complain)));
    print(globals, {
      text: () => [renderServices(services), ...views.map(renderResource)].join("\n\n"),
      json: () => ({ services, resources: views.map(resourceToJson) }),
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

/** What the services say of one instance; undefined where nothing was said. */
export type InstanceView = {
  readonly instance: Instance;
  readonly health: VerdictState | undefined;
  readonly share: InstanceShare | undefined;
};

export type ResourceView = {
  readonly status: ResourceStatus;
  readonly roles: Roles | undefined;
  readonly prediction: Prediction | undefined;
  readonly instances: readonly InstanceView[];
};

/** What on the bus cannot be read is complained of, and the rest is shown. */
export async function viewResource(
  bus: Bus,
  status: ResourceStatus,
  complain: (problem: CliError) => void,
): Promise<ResourceView> {
  const roles = status.roles && rolesFromWire(status.roles);
  if (!roles) return { status, roles, prediction: undefined, instances: [] };
  const orComplain = async <T>(reading: Promise<T | undefined>): Promise<T | undefined> => {
    try {
      return await reading;
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      complain(error);
      return undefined;
    }
  };
  const { resource } = roles;
  const shares = await orComplain(
    readLast(bus, TOPICS.weights, { names: [resource], read: ({ shares }) => shares }),
  );
  const prediction = await orComplain(
    readLast(bus, TOPICS.predictions, { names: [resource], read: (message) => message }),
  );
  const view = async (instance: Instance): Promise<InstanceView> => {
    const names = [resource, instance.name];
    const verdict = await orComplain(readLast(bus, TOPICS.health, { names, read: verdictFromWire }));
    return {
      instance,
      // A verdict about an earlier incarnation says nothing about this one.
      health: verdict?.incarnation === instance.incarnation ? verdict.state : undefined,
      share: shares?.find((share) => share.instance === instance.name),
    };
  };
  return { status, roles, prediction, instances: await Promise.all(roles.instances.map(view)) };
}

/** As the replicator answers, with what it does not know: `null` where nobody has said it. */
export function resourceToJson({ status, prediction, instances }: ResourceView): JsonObject {
  const scorecard = prediction?.scorecard;
  return {
    ...(toJson(ResourceStatusSchema, status) as JsonObject),
    forecast: scorecard ? toJson(ScorecardSchema, scorecard) : null,
    instances: instances.map(({ instance, health, share }) => ({
      instance: instance.name,
      health: health ?? null,
      readPpm: share?.readPpm ?? null,
      limitedBy: share?.limitedBy ?? null,
    })),
  };
}

export function renderResource({ status, roles, prediction, instances }: ResourceView): string {
  if (!roles) return "";
  const rows = instances.map(({ instance, health, share }) => [
    instance.name,
    instance.role,
    phaseOf(status, instance),
    health ?? NOT_KNOWN,
    share ? percentOf(share.readPpm) : NOT_KNOWN,
    ...progressOf(status, instance.name),
    sentTo(status, instance.name),
    instance.host || NOT_KNOWN,
    instance.address || NOT_KNOWN,
  ]);
  const heads = [
    ...["INSTANCE", "ROLE", "PHASE", "HEALTH", "READS", "VERSION", "LAG", "IN SYNC", "SENT", "HOST"],
    "ADDRESS",
  ];
  const title = `${roles.resource}: epoch ${roles.epoch}, primary ${roles.primary || "none"}, lease ${status.lease || NOT_KNOWN}`;
  const forecast = prediction ? [renderForecast(prediction)] : [];
  return [title, ...forecast, renderTable([heads, ...rows])].join("\n");
}

function phaseOf(status: ResourceStatus, { name, phase }: Instance): string {
  const state = status.states.find((candidate) => candidate.instance === name);
  return state?.phase === ReplicationPhase.SEEDING ? `${phase}, ${copyText(state)}` : phase;
}

/** Mirror data since its primary's end was opened: copies and deltas. */
function sentTo(status: ResourceStatus, instance: string): string {
  const state = status.states.find((candidate) => candidate.instance === instance);
  if (!state || status.roles?.primary === instance) return NOT_KNOWN;
  return bytesText(Number(state.seedBytes + state.deltaBytes));
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
