/**
 * A thin client of the Docker Engine API on its socket, which Podman speaks too: only the calls that the driver makes, and
 * one clear sentence for each way in which they fail. The API version is agreed on once: 1.41 or the oldest that the engine takes.
 */

import { type IncomingMessage, request } from "node:http";
import { explainConnection, explainRefusal } from "./docker-failures.ts";
import type { ContainerInspect, CreateBody, EngineEvent } from "./docker-types.ts";
import { ResourceError } from "./driver.ts";

/** Docker 20.10 and Podman 4. */
export const API_VERSION = "1.41";
const ANSWER_WITHIN_MS = 10_000;
/** Podman starts several programs to answer this. */
const VERSION_WITHIN_MS = 30_000;
/** Making, starting and removing touch disks and networks: on a busy machine that takes a while, and giving up too early undoes it. */
const WORK_WITHIN_MS = 60_000;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const LINE_BYTES_MAX = 1024 * 1024;

type Agreed = { readonly version: string; readonly kind: "docker" | "podman" };
type VersionAnswer = {
  readonly ApiVersion?: string;
  readonly MinAPIVersion?: string;
  readonly Components?: readonly { readonly Name: string }[];
};
type Answer = { readonly status: number; readonly text: string };
type Call = {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  readonly withinMs?: number;
  /** Statuses besides 2xx and 304 that are an answer, not a failure. */
  readonly expected?: readonly number[];
  /** What could not be done, for the sentence: "cannot start container web". */
  readonly what: string;
};

export type Engine = {
  readonly socket: string;
  kind(): Promise<"docker" | "podman">;
  isExperimental(): Promise<boolean>;
  /** Undefined when there is no such container. By name or id. */
  inspect(container: string): Promise<ContainerInspect | undefined>;
  /** Ids of all containers with these labels, ended ones too. */
  listLabelled(labels: readonly string[]): Promise<readonly string[]>;
  create(name: string, body: CreateBody): Promise<string>;
  start(container: string, name: string): Promise<void>;
  /** False when it does not run. */
  kill(container: string, signal: string): Promise<boolean>;
  /** Asks it to end, and makes it end after `graceMs`. */
  stop(container: string, graceMs: number): Promise<void>;
  remove(container: string): Promise<void>;
  /** Paths that it has changed outside its mounts. */
  changes(container: string): Promise<readonly string[]>;
  /** From now on the engine does not start it again by itself. */
  forbidRestarts(container: string): Promise<void>;
  restorePolicy(container: string, policy: unknown): Promise<void>;
  connect(network: string, container: string, aliases: readonly string[]): Promise<void>;
  disconnect(network: string, container: string): Promise<void>;
  /** The labels of the volume of this name, which is made with `labels` when there is none: first come, first served. */
  claimVolume(
    name: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<Readonly<Record<string, string>>>;
  removeVolume(name: string): Promise<void>;
  /** Ends of containers, as they happen; resolves when the stream ends, throws when it cannot be opened. */
  followEnds(onEvent: (event: EngineEvent) => void, signal: AbortSignal): Promise<void>;
};

export function openEngine(socket: string): Engine {
  let version: Promise<Agreed> | undefined;

  async function agreed(): Promise<Agreed> {
    version ??= agree(socket);
    try {
      return await version;
    } catch (error) {
      version = undefined;
      throw error;
    }
  }

  async function call({ method, path, body, withinMs, expected = [], what }: Call): Promise<Answer> {
    const prefix = `/v${(await agreed()).version}`;
    let answer: Answer;
    try {
      answer = await exchange(socket, {
        method,
        path: prefix + path,
        body,
        withinMs: withinMs ?? ANSWER_WITHIN_MS,
      });
    } catch (error) {
      // The engine may have been replaced by another one meanwhile.
      version = undefined;
      throw explainConnection(error, socket, what);
    }
    const { status, text } = answer;
    if ((status >= 200 && status < 300) || status === 304 || expected.includes(status)) return answer;
    throw explainRefusal(what, status, messageOf(text));
  }

  async function setPolicy(container: string, policy: unknown): Promise<void> {
    const what = `cannot set who restarts container ${container}`;
    const path = `/containers/${container}/update`;
    const { status } = await call({
      method: "POST",
      path,
      body: { RestartPolicy: policy },
      expected: [404],
      what,
    });
    if (status !== 404) return;
    const remedy = "make the container again with --restart=no, or with Docker or a newer Podman";
    throw new ResourceError("refused", `${what}: this engine cannot, or it was removed: ${remedy}`);
  }

  return {
    socket,
    kind: async () => (await agreed()).kind,
    isExperimental: async () => {
      const { text } = await call({
        method: "GET",
        path: "/info",
        what: "cannot ask what the engine offers",
      });
      return (JSON.parse(text) as { ExperimentalBuild?: boolean }).ExperimentalBuild ?? false;
    },
    inspect: async (container) => {
      const { status, text } = await call({
        method: "GET",
        path: `/containers/${encodeURIComponent(container)}/json`,
        expected: [404],
        what: `cannot look at container ${container}`,
      });
      return status === 404 ? undefined : (JSON.parse(text) as ContainerInspect);
    },
    listLabelled: async (labels) => {
      const filters = encodeURIComponent(JSON.stringify({ label: labels }));
      const { text } = await call({
        method: "GET",
        path: `/containers/json?all=true&filters=${filters}`,
        what: "cannot list containers",
      });
      return (JSON.parse(text) as { Id: string }[]).map(({ Id }) => Id);
    },
    create: async (name, body) => {
      const path = `/containers/create?name=${encodeURIComponent(name)}`;
      const { text } = await call({
        method: "POST",
        path,
        body,
        withinMs: WORK_WITHIN_MS,
        what: `cannot make container ${name}`,
      });
      return (JSON.parse(text) as { Id: string }).Id;
    },
    start: async (container, name) => {
      await call({
        method: "POST",
        path: `/containers/${container}/start`,
        withinMs: WORK_WITHIN_MS,
        what: `cannot start container ${name}`,
      });
    },
    kill: async (container, signal) => {
      const { status } = await call({
        method: "POST",
        path: `/containers/${container}/kill?signal=${signal}`,
        expected: [404, 409],
        what: `cannot send ${signal} to container ${container}`,
      });
      return status < 300;
    },
    stop: async (container, graceMs) => {
      await call({
        method: "POST",
        path: `/containers/${container}/stop?t=${Math.ceil(graceMs / 1000)}`,
        expected: [404],
        withinMs: graceMs + ANSWER_WITHIN_MS,
        what: `cannot stop container ${container}`,
      });
    },
    remove: async (container) => {
      await call({
        method: "DELETE",
        path: `/containers/${container}?force=true&v=true`,
        // 409: another removal of it is under way.
        expected: [404, 409],
        withinMs: WORK_WITHIN_MS,
        what: `cannot remove container ${container}`,
      });
    },
    changes: async (container) => {
      const what = `cannot see what container ${container} has written`;
      const { text } = await call({ method: "GET", path: `/containers/${container}/changes`, what });
      return ((JSON.parse(text) ?? []) as { Path: string }[]).map(({ Path }) => Path);
    },
    forbidRestarts: (container) => setPolicy(container, { Name: "no" }),
    restorePolicy: setPolicy,
    connect: async (network, container, aliases) => {
      await call({
        method: "POST",
        path: `/networks/${encodeURIComponent(network)}/connect`,
        body: { Container: container, EndpointConfig: { Aliases: aliases } },
        what: `cannot connect container ${container} to network ${network}`,
      });
    },
    disconnect: async (network, container) => {
      await call({
        method: "POST",
        path: `/networks/${encodeURIComponent(network)}/disconnect`,
        body: { Container: container, Force: true },
        expected: [403, 404, 500],
        what: `cannot disconnect container ${container} from network ${network}`,
      });
    },
    claimVolume: async (name, labels) => {
      const what = `cannot mark ${name} as managed by this replicator`;
      const { text } = await call({
        method: "POST",
        path: "/volumes/create",
        body: { Name: name, Labels: labels },
        what,
      });
      return (JSON.parse(text) as { Labels: Record<string, string> | null }).Labels ?? {};
    },
    removeVolume: async (name) => {
      const path = `/volumes/${encodeURIComponent(name)}`;
      await call({ method: "DELETE", path, expected: [404, 409], what: `cannot remove volume ${name}` });
    },
    followEnds: async (onEvent, signal) => {
      const filters = encodeURIComponent(JSON.stringify({ type: ["container"], event: ["die"] }));
      const path = `/v${(await agreed()).version}/events?filters=${filters}`;
      await followLines({ socket, path, signal }, (line) => onEvent(JSON.parse(line) as EngineEvent));
    },
  };
}

/** The version that both understand; throws when there is none. */
async function agree(socket: string): Promise<Agreed> {
  const what = "cannot use the container engine";
  let answer: Answer;
  try {
    answer = await exchange(socket, { method: "GET", path: "/version", withinMs: VERSION_WITHIN_MS });
  } catch (error) {
    throw explainConnection(error, socket, what);
  }
  if (answer.status !== 200) throw explainRefusal(what, answer.status, messageOf(answer.text));
  const { ApiVersion = "", MinAPIVersion = "", Components } = JSON.parse(answer.text) as VersionAnswer;
  if (olderThan(ApiVersion, API_VERSION)) {
    throw new ResourceError(
      "refused",
      `the engine at ${socket} speaks API ${ApiVersion || "of an unknown version"}, ${API_VERSION} is needed: use Docker 20.10, Podman 4 or newer`,
    );
  }
  const version = olderThan(API_VERSION, MinAPIVersion) ? MinAPIVersion : API_VERSION;
  return { version, kind: Components?.some(({ Name }) => /podman/i.test(Name)) ? "podman" : "docker" };
}

/** Of "1.41"; anything else counts as oldest. */
export function olderThan(one: string, other: string): boolean {
  const [major = 0, minor = 0] = parts(one);
  const [otherMajor = 0, otherMinor = 0] = parts(other);
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}

function parts(version: string): number[] {
  return version.split(".").map((part) => Number.parseInt(part, 10) || 0);
}

function exchange(
  socketPath: string,
  { method, path, body, withinMs }: { method: string; path: string; body?: unknown; withinMs: number },
): Promise<Answer> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    host: "docker",
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text ?? ""),
  };
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path, headers, agent: false }, (response) => {
      readAll(response).then((read) => resolve({ status: response.statusCode ?? 0, text: read }), reject);
    });
    asked.setTimeout(withinMs, () => asked.destroy(new Error(`no answer within ${withinMs} ms`)));
    asked.on("error", reject);
    asked.end(text);
  });
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) throw new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function followLines(
  { socket, path, signal }: { socket: string; path: string; signal: AbortSignal },
  onLine: (line: string) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { socketPath: socket, path, headers: { host: "docker" }, agent: false, signal },
      (response) => {
        let rest = "";
        response.setEncoding("utf8");
        response.on("data", (text: string) => {
          const lines = (rest + text).split("\n");
          rest = lines.pop()!.slice(-LINE_BYTES_MAX);
          for (const line of lines) if (line.trim() !== "") onLine(line);
        });
        response.on("end", resolve);
        response.on("error", () => resolve());
      },
    );
    asked.on("error", (error) => (signal.aborted ? resolve() : reject(error)));
    asked.end();
  });
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text;
  }
}
