/**
 * A small instance for tests. It listens at the port given, says it on standard output, and answers by path:
 * /200, /503 and so on with that status, /silent never.
 */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const server = createServer((request, response) => {
  const status = Number(request.url?.slice(1));
  if (Number.isInteger(status) && status >= 200) response.writeHead(status).end("x".repeat(100));
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
