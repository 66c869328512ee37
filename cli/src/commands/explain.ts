/** `understudy explain RESOURCE`: the last decisions with their reasons: what was put in, which rule bound, what else there was. */

import { create, toJson } from "@bufbuild/protobuf";
import {
  ExplainRequestSchema,
  type ExplainResponse,
  ExplainResponseSchema,
} from "@understudy/wire/gen/control";
import type { DecisionReason, ScaleDecision, WeightDecision } from "@understudy/wire/gen/weight";
import { hlcFromWire } from "@understudy/wire/header";
import { type Command, InvalidArgumentError } from "commander";
import { call, withConnection } from "../connect.ts";
import { type Globals, print } from "../globals.ts";
import { renderInputs, renderShares } from "../render-inputs.ts";

/** The balancer keeps no more of each kind: see ExplainRequest. */
const LAST_MAX = 100;

type ExplainOptions = Globals & { readonly last: number };

export function addCommand(program: Command): void {
  program
    .command("explain")
    .description("show the last decisions with their reasons")
    .argument("<resource>", "whose decisions")
    .option("-n, --last <count>", `how many of each kind, at most ${LAST_MAX}`, parseCount, 1)
    .action((resource: string, _options, command: Command) =>
      explain(resource, command.optsWithGlobals<ExplainOptions>()),
    );
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > LAST_MAX) {
    throw new InvalidArgumentError(
      `It must be a whole number from 1 to ${LAST_MAX}: the balancer keeps no more decisions of each kind.`,
    );
  }
  return count;
}

async function explain(resource: string, options: ExplainOptions): Promise<void> {
  await withConnection(options, async (connection) => {
    const server = { service: "balancer", address: connection.context.grpc.balancer };
    const request = create(ExplainRequestSchema, { resource, last: options.last });
    const found = await call(server, (limits) => connection.traffic().explain(request, limits));
    print(options, {
      text: () => renderExplanation(resource, found),
      json: () => toJson(ExplainResponseSchema, found),
    });
  });
}

export function renderExplanation(resource: string, found: ExplainResponse): string {
  const sections = [...found.weights.map(renderWeights), ...found.scales.map(renderScale)];
  if (sections.length === 0) return `nothing was decided about ${resource} yet`;
  return sections.join("\n\n");
}

function renderWeights(decision: WeightDecision): string {
  const title = `${timeOf(decision)}  shares, revision ${decision.revision}, epoch ${decision.epoch}`;
  const details = [
    ...renderShares(decision),
    ...renderReason(decision.reason),
    ...renderInputs(decision.inputs),
    ...(decision.traceId ? [`trace        ${decision.traceId}`] : []),
  ];
  return [title, ...details.map((line) => `  ${line}`)].join("\n");
}

function renderScale(decision: ScaleDecision): string {
  const title = `${timeOf(decision)}  shadows: ${decision.wantedShadows} wanted, ${decision.presentShadows} present`;
  return [title, ...renderReason(decision.reason).map((line) => `  ${line}`)].join("\n");
}

function renderReason(reason: DecisionReason | undefined): string[] {
  if (!reason) return [];
  const inputs = Object.entries(reason.inputs).map(([name, value]) => `${name}=${round(value)}`);
  const others = reason.alternatives.map(({ rule, value }) => `${rule}=${round(value)}`);
  return [
    `because ${reason.text} [${reason.rule}]`,
    ...(inputs.length > 0 ? [`numbers      ${inputs.join("  ")}`] : []),
    ...(others.length > 0 ? [`alternatives ${others.join("  ")}`] : []),
    ...(reason.unshiftableRps > 0
      ? [`unshiftable  ${round(reason.unshiftableRps)} requests/s fit nowhere`]
      : []),
  ];
}

function timeOf(decision: WeightDecision | ScaleDecision): string {
  return new Date(hlcFromWire(decision.header?.time).wallMs).toISOString();
}

function round(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}
