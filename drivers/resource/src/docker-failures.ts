/** What went wrong with the container engine, as one sentence with the remedy and a code. */

import { ResourceError, type ResourceErrorCode } from "./driver.ts";

const ENGINE_SETTING = "UNDERSTUDY_DOCKER_SOCKET";

/** No answer came at all. */
export function explainConnection(error: unknown, socket: string, what: string): ResourceError {
  const { code = "", message } = error as NodeJS.ErrnoException;
  const because = CONNECTIONS[code]?.(socket) ?? `the engine at ${socket} does not answer: ${message}`;
  const kind: ResourceErrorCode = code === "EACCES" || code === "EPERM" ? "refused" : "unreachable";
  return new ResourceError(kind, `${what}: ${because}`, { cause: error });
}

const CONNECTIONS: Readonly<Record<string, (socket: string) => string>> = {
  ENOENT: (socket) =>
    `there is no container engine at ${socket}: start Docker or Podman, or name its socket in ${ENGINE_SETTING}`,
  ECONNREFUSED: (socket) =>
    `the container engine at ${socket} does not run: start it (systemctl start docker)`,
  EACCES: (socket) => `this user may not use ${socket}: add it to the group that owns the socket (docker)`,
  EPERM: (socket) => `this user may not use ${socket}: add it to the group that owns the socket (docker)`,
  ENOTSOCK: (socket) => `${socket} is no socket: name the engine's in ${ENGINE_SETTING}`,
};

type Known = { readonly says: RegExp; readonly code: ResourceErrorCode; readonly remedy: string };

/** First match counts. */
const REFUSALS: readonly Known[] = [
  {
    says: /no such image|image .*not found|reference does not exist/i,
    code: "not-found",
    remedy: "pull or build the image again",
  },
  {
    says: /no space left on device|disk quota/i,
    code: "disk-full",
    remedy: "make room where the engine keeps its data (docker system df)",
  },
  {
    says: /port is already allocated|address already in use/i,
    code: "refused",
    remedy: "end the program or container that holds the port, or publish another one",
  },
  {
    says: /container name .* already in use/i,
    code: "refused",
    remedy: "remove or rename the other container: this replicator did not make it",
  },
  { says: /no such container/i, code: "not-found", remedy: "it was removed: start it again" },
  { says: /network .* not found/i, code: "not-found", remedy: "make the network again" },
  {
    says: /client version .* is too (new|old)/i,
    code: "refused",
    remedy: "use Docker 20.10, Podman 4 or newer",
  },
  { says: /permission denied|not authorized/i, code: "refused", remedy: "give this user the right to do it" },
];

/** The engine answered, and said no. */
export function explainRefusal(what: string, status: number, message: string): ResourceError {
  const said = message.trim().replace(/\s+/g, " ").slice(0, 300) || `status ${status}`;
  const known = REFUSALS.find(({ says }) => says.test(said));
  if (known) return new ResourceError(known.code, `${what}: ${said}: ${known.remedy}`);
  return new ResourceError(status >= 500 ? "start-failed" : "refused", `${what}: ${said}`);
}
