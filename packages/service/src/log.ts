/** Structured logs to standard error, one JSON object a line, with the ids of the trace they belong to. */

import { type Context, isSpanContextValid, trace } from "@opentelemetry/api";
import pino from "pino";

export type Log = {
  debug(text: string, fields?: LogFields): void;
  info(text: string, fields?: LogFields): void;
  warn(text: string, fields?: LogFields): void;
  error(text: string, fields?: LogFields): void;
};

/** `trace` adds trace and span ids; an `error` is written with its causes. Nothing secret goes in here. */
export type LogFields = Readonly<Record<string, unknown>> & {
  readonly trace?: Context;
  readonly error?: unknown;
};

const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];

export function openLog(service: string, level: string): Log {
  const sink = pino.destination({ dest: 2, sync: true });
  const logger = pino({ level: LEVELS.includes(level) ? level : "info", base: { service } }, sink);
  const at =
    (name: "debug" | "info" | "warn" | "error") =>
    (text: string, fields: LogFields = {}) => {
      const { trace: within, error, ...rest } = fields;
      logger[name](
        { ...rest, ...traceIds(within), ...(error === undefined ? {} : { error: causesOf(error) }) },
        text,
      );
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function traceIds(within: Context | undefined): Record<string, string> {
  const span = within && trace.getSpanContext(within);
  // Before telemetry is there, spans have ids that name nothing.
  return span && isSpanContextValid(span) ? { traceId: span.traceId, spanId: span.spanId } : {};
}

function causesOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${causesOf(error.cause)}`;
}
