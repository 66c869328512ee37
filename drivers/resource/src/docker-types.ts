/** The parts of the Engine API's answers and questions that the driver reads and writes; what it only copies stays unknown. */

export type Mount = {
  readonly Type: "volume" | "bind" | "tmpfs" | (string & {});
  readonly Name?: string;
  /** On the host. */
  readonly Source?: string;
  /** In the container. */
  readonly Destination: string;
  readonly Driver?: string;
  readonly RW: boolean;
};

export type NetworkEndpoint = {
  readonly IPAddress?: string;
  readonly GlobalIPv6Address?: string;
  readonly Aliases?: readonly string[] | null;
};

export type HostConfig = Readonly<Record<string, unknown>> & {
  readonly NetworkMode?: string;
  readonly PidMode?: string;
  readonly Privileged?: boolean;
  readonly ReadonlyRootfs?: boolean;
  readonly Tmpfs?: Readonly<Record<string, string>> | null;
};

export type ContainerConfig = {
  readonly Env?: readonly string[] | null;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly ExposedPorts?: Readonly<Record<string, unknown>> | null;
  readonly Image?: string;
} & Readonly<Record<string, unknown>>;

export type ContainerInspect = {
  readonly Id: string;
  /** With a leading slash. */
  readonly Name: string;
  /** The image's id. */
  readonly Image: string;
  readonly State: {
    readonly Running: boolean;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly Status: string;
    readonly OOMKilled?: boolean;
  };
  readonly Config: ContainerConfig;
  readonly HostConfig: HostConfig;
  readonly Mounts: readonly Mount[];
  readonly NetworkSettings: { readonly Networks?: Readonly<Record<string, NetworkEndpoint>> | null };
};

export type CreateBody = Readonly<Record<string, unknown>>;

/** An end: exit code among the attributes. */
export type EngineEvent = {
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
};

export function nameOfContainer({ Name }: { readonly Name: string }): string {
  return Name.replace(/^\//, "");
}
