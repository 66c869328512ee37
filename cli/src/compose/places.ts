/** Names and places that the parts of the compose cluster agree on: ports, folders, users. docker-compose.yml repeats the same. */

/** Its replicator has a certificate by its own name. That of the first host is called just so. */
export const SECOND_HOST = "host-b";
export const RESOURCE = "catalog";
export const POOL = "web";

/** Everything runs as this user, so that what one writes the other reads. */
export const OWNER = 1000;

/** Where the setup finds a volume for each part, and each part its own one. */
export const VOLUMES = "/volumes";
export const SECRETS = "/etc/understudy";

export const PORTS = { nats: 4222, redis: 6379, web: 8080, grpc: 7443, mirror: 7444, probes: 9100 } as const;
/** Where HAProxy finds what it runs on, and where it keeps its sockets. */
export const HAPROXY = {
  files: "/etc/understudy",
  run: "/run/haproxy",
  socket: "/run/haproxy/admin.sock",
} as const;
