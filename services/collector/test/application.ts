/** An application for tests: burns some CPU and tells its metrics at /metrics; /silent turns it silent. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

let served = 0;
let silent = false;

const server = createServer((request, response) => {
  if (request.url === "/silent") silent = true;
  else if (silent) return;
  served += 5;
  response.end(`# TYPE app_served_total counter
app_served_total{kind="read"} ${served}
app_served_total{kind="write"} 1
app_busy 3
app_workers 8
`);
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));

if (process.argv.includes("--busy")) {
  setInterval(() => {
    const untilMs = performance.now() + 5;
    while (performance.now() < untilMs) Math.sqrt(2);
  }, 10);
}
