/** Environment -> one frozen value. The only reader of process.env here; all mistakes are reported together. */

export type CatalogConfig = {
  readonly resource: string;
  readonly instance: string;
  readonly stateDir: string;
  /** IP address to listen at. */
  readonly address: string;
  readonly port: number;
  readonly roleFile: string;
  /** Where `Barrier` is asked for; undefined: this service runs alone and critical writes are not confirmed. */
  readonly replicator: { readonly address: string; readonly tlsDir: string } | undefined;
  readonly workers: number;
  /** How long a request keeps its worker waiting. */
  readonly serviceMs: number;
  /** Processor time that it takes after that. */
  readonly cpuMs: number;
  readonly queueMax: number;
  /** Time from start to the first answer. */
  readonly startMs: number;
  /** How long after that the cache is cold: half the speed. */
  readonly warmUpMs: number;
  readonly seed: number;
  readonly products: number;
};

export type Environment = Readonly<Record<string, string | undefined>>;

/** Throws one Error that names every variable that is missing or no number. */
export function readConfig(env: Environment): CatalogConfig {
  const mistakes: string[] = [];
  const text = (name: string) => {
    const value = env[name] ?? "";
    if (value === "") mistakes.push(`${name} is not set`);
    return value;
  };
  const number = (name: string, fallback?: number) => {
    const value = Number(env[name] ?? fallback ?? Number.NaN);
    if (!Number.isFinite(value) || value < 0)
      mistakes.push(`${name} is "${env[name] ?? ""}", not a number >= 0`);
    return value;
  };
  const address = env.UNDERSTUDY_REPLICATOR_GRPC ?? "";
  const config: CatalogConfig = {
    resource: text("UNDERSTUDY_RESOURCE"),
    instance: text("UNDERSTUDY_INSTANCE"),
    stateDir: text("UNDERSTUDY_STATE_DIR"),
    address: env.UNDERSTUDY_ADDRESS ?? "127.0.0.1",
    port: number("UNDERSTUDY_PORT"),
    roleFile: text("UNDERSTUDY_ROLE_FILE"),
    replicator: address === "" ? undefined : { address, tlsDir: text("UNDERSTUDY_TLS_DIR") },
    workers: number("CATALOG_WORKERS", 8),
    serviceMs: number("CATALOG_SERVICE_MS", 40),
    cpuMs: number("CATALOG_CPU_MS", 0),
    queueMax: number("CATALOG_QUEUE_MAX", 2000),
    startMs: number("CATALOG_START_MS", 1200),
    warmUpMs: number("CATALOG_WARM_UP_MS", 2000),
    seed: number("CATALOG_SEED", 1),
    products: number("CATALOG_PRODUCTS", 4000),
  };
  if (mistakes.length > 0) throw new Error(`catalog: ${mistakes.join("; ")}`);
  return Object.freeze(config);
}
