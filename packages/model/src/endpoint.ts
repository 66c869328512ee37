/** Where something listens: "127.0.0.1:8080". IPv6 hosts stand in brackets, and keep them. */

export type Endpoint = { readonly host: string; readonly port: number };

const PORT_MAX = 65_535;
/** No user, path or query: what becomes part of a URL must not say more than host and port. */
const ENDPOINT = /^(\[[0-9a-fA-F:]+\]|[^:\s/?#@[\]]+):(\d{1,5})$/;

/** Undefined when `text` is not host:port. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = ENDPOINT.exec(text);
  const port = Number(match?.[2]);
  if (!match || port > PORT_MAX) return undefined;
  return { host: match[1]!, port };
}

/** An IPv6 host may stand in brackets or not. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`;
}
