/** The part of the environment that all five services share. Each service's config.ts extends it and is the only reader of process.env. */

import { readFileSync } from "node:fs";
import { type Endpoint, parseEndpoint } from "@understudy/model/endpoint";
import { isLabel } from "@understudy/model/names";

export type Environment = Readonly<Record<string, string | undefined>>;

export type ServiceEnvironment = {
  /** Name of this host, a DNS label. */
  readonly host: string;
  readonly nats: { readonly url: string; readonly user: string; readonly password: string };
  /** Folder with ca.crt, tls.crt and tls.key of this service. */
  readonly tlsDir: string;
  readonly grpcListen: Endpoint;
  readonly probesListen: Endpoint;
  readonly dataDir: string;
  readonly logLevel: string;
  /** OTLP over HTTP, empty: none. */
  readonly otlpEndpoint: string;
  /** Spans as JSON lines, empty: none. */
  readonly traceFile: string;
};

/** Collects every mistake, so that one start shows all of them. */
export type EnvironmentReader = {
  text(name: string, fallback?: string): string;
  label(name: string): string;
  endpoint(name: string, fallback?: string): Endpoint;
  /** One or more, with commas between them. */
  endpoints(name: string): readonly Endpoint[];
  /** The content of the file that NAME_FILE names, or NAME itself. */
  secret(name: string, fallback?: string): string;
  /** A mistake in what `text` returned, found by a service that reads it further. */
  mistake(text: string): void;
  /** Throws one error with all mistakes, or returns. */
  finish(): void;
};

export function openEnvironment(env: Environment): EnvironmentReader {
  const mistakes: string[] = [];
  const text = (name: string, fallback?: string): string => {
    const value = env[name] ?? fallback;
    if (value === undefined) mistakes.push(`${name} is not set`);
    return value ?? "";
  };
  return {
    text,
    label(name) {
      const value = text(name);
      if (value && !isLabel(value)) mistakes.push(`${name}="${value}" is not a DNS label`);
      return value;
    },
    endpoint(name, fallback) {
      const value = text(name, fallback);
      const endpoint = parseEndpoint(value);
      if (value && !endpoint) mistakes.push(`${name}="${value}" is not host:port`);
      return endpoint ?? { host: "", port: 0 };
    },
    endpoints(name) {
      const value = text(name);
      if (!value) return [];
      const found = value.split(",").map((each) => parseEndpoint(each.trim()));
      const good = found.filter((each) => each !== undefined);
      if (good.length < found.length)
        mistakes.push(`${name}="${value}" is not host:port, or several with commas`);
      return good;
    },
    secret(name, fallback) {
      const file = env[`${name}_FILE`];
      if (file === undefined) return text(name, fallback);
      try {
        return readFileSync(file, "utf8").trim();
      } catch (error) {
        mistakes.push(`${name}_FILE="${file}" cannot be read: ${(error as NodeJS.ErrnoException).code}`);
        return "";
      }
    },
    mistake: (found) => void mistakes.push(found),
    finish() {
      if (mistakes.length > 0) throw new EnvironmentError(mistakes);
    },
  };
}

export class EnvironmentError extends Error {
  readonly mistakes: readonly string[];
  constructor(mistakes: readonly string[]) {
    super(`bad environment: ${mistakes.join("; ")}`);
    this.name = "EnvironmentError";
    this.mistakes = mistakes;
  }
}

/** Reads the common part; the caller goes on with the same reader and calls `finish` at the end. */
export function readServiceEnvironment(reader: EnvironmentReader): ServiceEnvironment {
  return Object.freeze({
    host: reader.label("UNDERSTUDY_HOST"),
    nats: {
      url: reader.text("UNDERSTUDY_NATS_URL"),
      user: reader.text("UNDERSTUDY_NATS_USER"),
      password: reader.secret("UNDERSTUDY_NATS_PASSWORD"),
    },
    tlsDir: reader.text("UNDERSTUDY_TLS_DIR"),
    grpcListen: reader.endpoint("UNDERSTUDY_GRPC_LISTEN", "127.0.0.1:0"),
    probesListen: reader.endpoint("UNDERSTUDY_PROBES_LISTEN", "127.0.0.1:0"),
    dataDir: reader.text("UNDERSTUDY_DATA_DIR"),
    logLevel: reader.text("UNDERSTUDY_LOG_LEVEL", "info"),
    otlpEndpoint: reader.text("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
    traceFile: reader.text("UNDERSTUDY_TRACE_FILE", ""),
  });
}
