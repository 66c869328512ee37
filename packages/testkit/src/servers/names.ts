/** The servers that the test kit starts, by the names of their programs. */

export type ServerName = "nats-server" | "redis-server" | "haproxy";
