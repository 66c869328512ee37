/**
 * Starts a service as the ordinary user with one more group: that of the engine's socket, whose number differs from host to
 * host. Begun as root without any capability but to change users; afterwards nothing of root is left.
 */

import { statSync } from "node:fs";
import { join } from "node:path";
import { OWNER } from "./places.ts";

const socket = process.env.UNDERSTUDY_DOCKER_SOCKET ?? "/var/run/docker.sock";
const service = process.argv[2];
if (!service) throw new Error("say which service to start");

process.setgroups!([OWNER, statSync(socket).gid]);
process.setgid!(OWNER);
process.setuid!(OWNER);
await import(join(import.meta.dirname, "../../../services", service, "src/main.ts"));
