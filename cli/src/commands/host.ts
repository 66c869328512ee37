/** `understudy host`: invites machines that will keep shadows, lists them, strikes them off. They join by `understudy join`. */

import { create, toJson } from "@bufbuild/protobuf";
import type { Client } from "@understudy/service/grpc";
import {
  AddHostRequestSchema,
  type HostRecord,
  type HostRegistry,
  HostState,
  ListHostsRequestSchema,
  ListHostsResponseSchema,
  RemoveHostRequestSchema,
} from "@understudy/wire/gen/host";
import { type Command, InvalidArgumentError } from "commander";
import { call, withConnection } from "../connect.ts";
import { type Globals, print, renderTable } from "../globals.ts";

type AddOptions = Globals & { readonly minutes: number };
type Registry = Client<typeof HostRegistry>;

export function addCommand(program: Command): void {
  const host = program.command("host").description("the machines that keep shadows");
  host
    .command("add")
    .description("print a one-time token with which a machine joins under this name")
    .argument("<name>")
    .option("--minutes <minutes>", "how long the token is good", parseMinutes, 15)
    .action((name: string, _options, command: Command) => add(name, command.optsWithGlobals<AddOptions>()));
  host
    .command("list")
    .description("show who was invited and who has joined")
    .action((_options, command: Command) => list(command.optsWithGlobals<Globals>()));
  host
    .command("remove")
    .description("strike a host off, or take its unused token back")
    .argument("<name>")
    .action((name: string, _options, command: Command) => remove(name, command.optsWithGlobals<Globals>()));
}

function parseMinutes(text: string): number {
  const minutes = Number(text);
  if (Number.isInteger(minutes) && minutes >= 1 && minutes <= 1440) return minutes;
  throw new InvalidArgumentError("It must be a whole number of minutes, at most 1440.");
}

function ask<T>(
  globals: Globals,
  request: (registry: Registry, options: { deadlineMs: number }) => Promise<T>,
): Promise<T> {
  return withConnection(globals, (connection) => {
    const server = { service: "replicator", address: connection.context.grpc.replicator };
    return call(server, (options) => request(connection.hosts(), options));
  });
}

async function add(name: string, options: AddOptions): Promise<void> {
  const request = create(AddHostRequestSchema, { name, validMinutes: options.minutes });
  const { token, expiresAtMs } = await ask(options, (registry, within) => registry.addHost(request, within));
  const text = `on ${name}, within ${options.minutes} minutes:

  understudy join ${token} --control ADDRESS:PORT --data ADDRESS:PORT

--control: where its replicator will answer gRPC; --data: where it takes mirror data, on the dedicated link if there is one.
The token is good once. Whoever has it may join in the machine's place: carry it as you would a password.`;
  print(options, { text: () => text, json: () => ({ name, token, expiresAtMs: Number(expiresAtMs) }) });
}

async function list(options: Globals): Promise<void> {
  const request = create(ListHostsRequestSchema);
  const found = await ask(options, (registry, within) => registry.listHosts(request, within));
  const rows = found.hosts.map((host) => [host.name, stateOf(host), host.control || "-", host.data || "-"]);
  const left = found.hosts.filter((host) => host.state === HostState.JOINED && !host.configured);
  const hint = left.map(
    ({ name, control, data }) => `  - { name: ${name}, control: "${control}", data: "${data}" }`,
  );
  const tail =
    hint.length === 0 ? [] : ["", "not in the configuration yet; below hosts: of understudy.yaml", ...hint];
  const text = () =>
    found.hosts.length === 0
      ? "no host was ever added"
      : [renderTable([["host", "state", "control", "data"], ...rows]), ...tail].join("\n");
  print(options, { text, json: () => toJson(ListHostsResponseSchema, found) });
}

function stateOf({ state, expiresAtMs, configured }: HostRecord): string {
  switch (state) {
    case HostState.INVITED:
      return Number(expiresAtMs) < Date.now() ? "invited, token expired" : "invited";
    case HostState.JOINED:
      return configured ? "joined" : "joined, not configured";
    case HostState.REMOVED:
      return "removed";
    case HostState.UNSPECIFIED:
      return "unknown";
  }
}

async function remove(name: string, options: Globals): Promise<void> {
  const request = create(RemoveHostRequestSchema, { name });
  await ask(options, (registry, within) => registry.removeHost(request, within));
  const text = `${name} is removed; take it out of hosts: in understudy.yaml too: until then its certificate is let in`;
  print(options, { text: () => text, json: () => ({ name, removed: true }) });
}
