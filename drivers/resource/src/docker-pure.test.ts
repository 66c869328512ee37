/** What the Docker driver decides without an engine: shadows, refusals, paths, labels, and the sentences about failures. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { ContainerSpec } from "@understudy/model/policy";
import fc from "fast-check";
import { type CheckpointFacts, noCheckpoint } from "./docker-checkpoint.ts";
import { checkAdoptable } from "./docker-checks.ts";
import { olderThan } from "./docker-engine.ts";
import { explainConnection, explainRefusal } from "./docker-failures.ts";
import { asName, isLabelled, resourceOfLabels } from "./docker-labels.ts";
import { ownContainer, pathsThrough } from "./docker-paths.ts";
import { addressOf, isWithin, type ShadowWish, shadowBody } from "./docker-spec.ts";
import type { ContainerInspect } from "./docker-types.ts";
import { programOf, waitingCommand } from "./docker-wait-command.ts";

const SPEC: ContainerSpec = {
  name: "shop",
  port: 8080,
  stateDir: "/data",
  network: "",
  roleFile: "",
  onPromote: "restart",
  takeNames: false,
  checkpoint: "none",
};

function inspect(change: Partial<ContainerInspect> = {}): ContainerInspect {
  return {
    Id: "ab12".repeat(16),
    Name: "/shop",
    Image: "sha256:1",
    State: { Running: true, Pid: 7, ExitCode: 0, Status: "running" },
    Config: {
      Env: ["A=1", "UNDERSTUDY_ROLE=primary"],
      Labels: { "com.docker.compose.project": "p", team: "x", "understudy.enable": "true" },
      ExposedPorts: { "8080/tcp": {} },
      Cmd: ["serve"],
      User: "1000",
    },
    HostConfig: {
      Memory: 5,
      NanoCpus: 250_000_000,
      PortBindings: { "8080/tcp": [{ HostPort: "80" }] },
      RestartPolicy: { Name: "always" },
      NetworkMode: "front",
    },
    Mounts: [
      {
        Type: "volume",
        Name: "shop-data",
        Source: "/v/shop-data/_data",
        Destination: "/data",
        Driver: "local",
        RW: true,
      },
      { Type: "bind", Source: "/etc/shop", Destination: "/etc/shop", RW: true },
    ],
    NetworkSettings: { Networks: { front: { IPAddress: "172.18.0.2" }, back: { IPAddress: "172.19.0.2" } } },
    ...change,
  };
}

function shadow(change: Partial<ShadowWish> = {}) {
  const { body, networks } = shadowBody({
    template: inspect(),
    container: SPEC,
    env: { UNDERSTUDY_ROLE: "shadow" },
    labels: { "understudy.manager": "m" },
    stateSource: "/var/shadow/state",
    roleSource: "/var/shadow/role",
    stateReadOnly: true,
    changes: [],
    aliases: ["shop-2"],
    network: "",
    waits: false,
    ...change,
  });
  return {
    body: body as Record<string, unknown>,
    host: body.HostConfig as Record<string, unknown>,
    networks,
  };
}

describe("a shadow", () => {
  it("has the primary's image, program, user and limits, and none of its claims on the outside", () => {
    const { body, host, networks } = shadow();
    assert.deepEqual([body.Image, body.Cmd, body.User], ["sha256:1", ["serve"], "1000"]);
    assert.deepEqual([host.Memory, host.NanoCpus], [5, 250_000_000]);
    assert.equal(host.PortBindings, undefined);
    assert.deepEqual(host.RestartPolicy, { Name: "no" });
    assert.deepEqual([host.NetworkMode, networks], ["front", ["back"]]);
  });

  it("is on its host's own network alone, where it has one", () => {
    const { body, host, networks } = shadow({ network: "edge-b" });
    assert.deepEqual([host.NetworkMode, networks], ["edge-b", []]);
    assert.deepEqual(body.NetworkingConfig, { EndpointsConfig: { "edge-b": { Aliases: ["shop-2"] } } });
  });

  it("keeps the primary's environment and labels but for its own and for compose's", () => {
    const { body } = shadow();
    assert.deepEqual(body.Env, ["A=1", "UNDERSTUDY_ROLE=shadow"]);
    assert.deepEqual(body.Labels, { team: "x", "understudy.manager": "m" });
  });

  it("has state of its own, and everything else of the primary's read-only", () => {
    assert.deepEqual(shadow().host.Mounts, [
      { Type: "bind", Source: "/var/shadow/state", Target: "/data", ReadOnly: true },
      { Type: "bind", Source: "/var/shadow/role", Target: "/run/understudy", ReadOnly: true },
      { Type: "bind", Source: "/etc/shop", Target: "/etc/shop", ReadOnly: true },
    ]);
  });

  it("is asked for in words that Podman takes, where it was described in Podman's own", () => {
    const Config = { ...inspect().Config, Hostname: "ab12", Env: ["A=1", "HOSTNAME=ab12"] };
    const Ulimits = [{ Name: "RLIMIT_NOFILE", Soft: 1, Hard: 2 }];
    const HostConfig = { ...inspect().HostConfig, Ulimits, Runtime: "oci" };
    const { body } = shadow({ template: inspect({ Config, HostConfig }) });
    assert.deepEqual(body.Env, ["A=1", "UNDERSTUDY_ROLE=shadow"]);
    const host = JSON.parse(JSON.stringify(body.HostConfig)) as Record<string, unknown>;
    assert.deepEqual([host.Ulimits, host.Runtime], [[{ Name: "nofile", Soft: 1, Hard: 2 }], undefined]);
  });

  it("has a read-only root where the primary wrote nothing outside its mounts", () => {
    assert.equal(shadow({ changes: ["/data", "/etc", "/etc/shop"] }).host.ReadonlyRootfs, true);
    const scratch = shadow({ changes: ["/tmp", "/tmp/a", "/run", "/run/shop.pid"] });
    assert.deepEqual([scratch.host.ReadonlyRootfs, scratch.host.Tmpfs], [true, { "/tmp": "", "/run": "" }]);
    const writes = shadow({ changes: ["/opt", "/opt/cache", "/tmp", "/tmp/a"] });
    assert.deepEqual([writes.host.ReadonlyRootfs, writes.host.Tmpfs], [false, {}]);
    assert.equal(shadow({ changes: undefined }).host.ReadonlyRootfs, false);
  });
});

describe("an address", () => {
  it("is the one on the network that was named, or on the first", () => {
    assert.equal(addressOf(inspect(), SPEC), "172.18.0.2:8080");
    assert.equal(addressOf(inspect(), { ...SPEC, network: "back" }), "172.19.0.2:8080");
    assert.throws(
      () => addressOf(inspect(), { ...SPEC, network: "none" }),
      /no address on network none \(its networks: front, back\)/,
    );
  });
});

describe("a container that must not have a shadow", () => {
  const refused = (change: Partial<ContainerInspect>, says: RegExp) =>
    assert.throws(
      () => checkAdoptable(inspect(change), SPEC),
      (error: Error) => {
        assert.match(error.message, /^container shop .*: ./);
        assert.match(error.message, says);
        return true;
      },
    );
  const host = inspect().HostConfig;

  it("is named, with the remedy", () => {
    refused({ HostConfig: { ...host, Privileged: true } }, /is privileged/);
    refused({ HostConfig: { ...host, NetworkMode: "host" } }, /host's network: .*bridge/);
    refused({ HostConfig: { ...host, NetworkMode: "container:x" } }, /another container's network/);
    refused({ HostConfig: { ...host, PidMode: "host" } }, /without --pid host/);
    refused(
      { State: { Running: false, Pid: 0, ExitCode: 1, Status: "exited" } },
      /does not run \(exited\): start it/,
    );
    refused({ Mounts: [] }, /inside the container itself: put a volume/);
    refused({ Config: { Labels: { "understudy.enable": "false" } } }, /left alone/);
    refused({ Config: { Labels: { "understudy.manager": "m" } } }, /is a shadow itself/);
    assert.equal(checkAdoptable(inspect(), SPEC).Name, "shop-data");
  });

  it("is one whose volume is kept elsewhere", () => {
    const Mounts = [{ ...inspect().Mounts[0]!, Driver: "nfs" }];
    assert.throws(() => checkAdoptable(inspect({ Mounts }), SPEC), /volume shop-data is kept by driver nfs/);
  });
});

describe("paths of a replicator that is a container itself", () => {
  const paths = pathsThrough([
    { Source: "/var/lib/docker/volumes/data/_data", Destination: "/var/lib/understudy" },
    { Source: "/srv/shop", Destination: "/adopted/shop" },
  ]);

  it("are translated through its mounts, both ways", () => {
    assert.equal(paths.toHost("/var/lib/understudy/a/b"), "/var/lib/docker/volumes/data/_data/a/b");
    assert.equal(paths.toOwn("/srv/shop/state"), "/adopted/shop/state");
    assert.equal(paths.toHost("/tmp/x"), undefined);
    assert.equal(paths.toOwn("/srv/shopping"), undefined);
  });

  it("come back the same after both ways", () => {
    const piece = fc.stringMatching(/^[a-z0-9]{1,8}$/);
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 5 }), (pieces) => {
        const own = ["/adopted/shop", ...pieces].join("/");
        assert.equal(paths.toOwn(paths.toHost(own)!), own);
        assert.ok(isWithin(own, "/adopted/shop"));
      }),
      { seed: 5, numRuns: 200 },
    );
  });

  it("need the own container's id, which Docker and Podman show in the mounts", () => {
    const id = "0a".repeat(32);
    const line = (root: string) => `500 400 8:1 ${root} /etc/hostname rw - ext4 /dev/sda rw`;
    assert.equal(ownContainer(line(`/var/lib/docker/containers/${id}/hostname`)), id);
    assert.equal(
      ownContainer(line(`/run/containers/storage/overlay-containers/${id}/userdata/hostname`)),
      id,
    );
    assert.equal(ownContainer("22 1 8:1 / / rw - ext4 /dev/sda rw"), undefined);
  });
});

describe("labels", () => {
  const labelled = (labels: Record<string, string>, change: Partial<ContainerInspect> = {}) =>
    inspect({
      Config: { Labels: { "understudy.enable": "true", ...labels }, ExposedPorts: { "8080/tcp": {} } },
      Mounts: inspect().Mounts.slice(0, 1),
      ...change,
    });
  const facts = { pools: ["web"], isFile: (path: string) => path.endsWith(".db") };

  it("are enough with one volume, one port and one pool", () => {
    assert.ok(isLabelled(labelled({})));
    const { container, state, routing } = resourceOfLabels(labelled({}), facts) as Record<string, unknown>;
    assert.deepEqual(container, { name: "shop", port: 8080, stateDir: "/data" });
    assert.deepEqual(state, { paths: ["."], consistency: "none" });
    assert.deepEqual(routing, { pool: "web", maxShadowShare: 0 });
  });

  it("say how a program comes to see changed files, without which its shadows take no reads", () => {
    const resource = resourceOfLabels(labelled({ "understudy.on-version": "reopens" }), facts);
    const { state, routing } = resource as Record<string, unknown>;
    assert.deepEqual(state, { paths: ["."], consistency: "none", onVersion: "reopens" });
    assert.deepEqual(routing, { pool: "web" });
  });

  it("name a database by its file, and the methods that shadows answer", () => {
    const labels = {
      "understudy.state": "/data/shop.db",
      "understudy.consistency": "sqlite",
      "understudy.reads": "GET,HEAD",
    };
    const resource = resourceOfLabels(labelled(labels), facts) as Record<string, Record<string, unknown>>;
    assert.deepEqual(resource.state, { paths: ["shop.db"], consistency: "sqlite" });
    assert.equal(resource.container!.stateDir, "/data");
    assert.equal(resource.routing!.maxShadowShare, undefined);
    assert.deepEqual(resource.routing!.reads, ["GET", "HEAD"]);
  });

  it("that are missing, or that nobody knows, are named with the container", () => {
    const says = (labels: Record<string, string>, pattern: RegExp, change: Partial<ContainerInspect> = {}) =>
      assert.throws(() => resourceOfLabels(labelled(labels, change), facts), pattern);
    says(
      { "understudy.consistency": "sqlite" },
      /container shop needs the label understudy.state: .*\/data\/app.db/,
    );
    says({ "understudy.raeds": "GET" }, /container shop: no label is named understudy.raeds; there are /);
    says({}, /container shop needs the label understudy.state: it has no single writable volume \(none\)/, {
      Mounts: [],
    });
    const many = {
      Config: { Labels: { "understudy.enable": "true" }, ExposedPorts: { "1/tcp": {}, "2/tcp": {} } },
    };
    says({}, /needs the label understudy.port: .*1\/tcp, 2\/tcp/, many);
    assert.throws(
      () => resourceOfLabels(labelled({}), { ...facts, pools: ["a", "b"] }),
      /understudy.pool: .*a, b/,
    );
  });

  it("make a DNS label of any container's name", () => {
    assert.equal(asName("Shop_v2.web"), "shop-v2-web");
    fc.assert(
      fc.property(fc.string(), (name) => assert.match(asName(name), /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)),
      { seed: 7, numRuns: 300 },
    );
  });
});

describe("failures", () => {
  const failure = (code: string) => Object.assign(new Error(code), { code });

  it("to reach the engine say why and what helps", () => {
    const said = (code: string) => explainConnection(failure(code), "/run/x.sock", "cannot look");
    assert.match(
      said("ENOENT").message,
      /^cannot look: there is no container engine at \/run\/x.sock: .*UNDERSTUDY_DOCKER_SOCKET/,
    );
    assert.match(said("EACCES").message, /may not use \/run\/x.sock: add it to the group/);
    assert.match(said("ECONNREFUSED").message, /does not run: start it/);
    assert.match(said("ECONNRESET").message, /does not answer: ECONNRESET/);
    assert.deepEqual([said("ENOENT").code, said("EACCES").code], ["unreachable", "refused"]);
  });

  it("of the engine are recognised", () => {
    const said = (message: string, status = 500) =>
      explainRefusal("cannot start container shop", status, message);
    assert.deepEqual(
      [
        said("No such image: shop:1", 404).code,
        said("write /x: no space left on device").code,
        said("Bind for 0.0.0.0:80 failed: port is already allocated").code,
        said("something else").code,
      ],
      ["not-found", "disk-full", "refused", "start-failed"],
    );
    assert.match(
      said("No such image: shop:1", 404).message,
      /container shop: No such image: shop:1: pull or build/,
    );
  });

  it("of versions are compared by number", () => {
    assert.deepEqual(
      [
        olderThan("1.40", "1.41"),
        olderThan("1.41", "1.41"),
        olderThan("1.9", "1.41"),
        olderThan("2.0", "1.41"),
        olderThan("", "1.41"),
      ],
      [true, false, true, false, true],
    );
  });
});

describe("a container that waits to take a shadow's place", () => {
  it("becomes the very program at the word, and ends without it", () => {
    const dir = mkdtempSync(join(tmpdir(), "understudy-wait-"));
    const run = (said: string, program: readonly string[]) => {
      const pipe = join(dir, "begin");
      writeFileSync(pipe, said);
      const [shell = "", ...rest] = waitingCommand({ Cmd: program }, pipe).Entrypoint;
      return spawnSync(shell, rest, { encoding: "utf8" });
    };
    const program = ["printf", "%s.", "two words", "$HOME", '"'];
    assert.deepEqual(
      [run("begin\n", program).stdout, run("begin\n", program).status],
      ['two words.$HOME.".', 0],
    );
    for (const said of ["", "begi", "begin now\n", "\n"])
      assert.deepEqual([run(said, program).stdout, run(said, program).status], ["", 1], said);
    rmSync(dir, { recursive: true });
  });

  it("gives its program back, whatever that is; what never waited has none to give", () => {
    const words = fc.array(fc.string());
    fc.assert(
      fc.property(words, words, fc.string(), (Entrypoint, Cmd, pipe) => {
        assert.equal(programOf({ Entrypoint, Cmd }), undefined);
        const back = programOf(waitingCommand({ Entrypoint, Cmd }, pipe));
        assert.deepEqual(back, { Entrypoint: [...Entrypoint, ...Cmd], Cmd: [] });
      }),
      { seed: 5 },
    );
  });

  it("is on no network and has no health until then; one made from it starts its program at once", () => {
    const { body } = shadow({ waits: true, aliases: [] });
    const host = body.HostConfig as Record<string, unknown>;
    assert.deepEqual(
      [host.NetworkMode, body.NetworkingConfig, body.Healthcheck],
      ["none", undefined, { Test: ["NONE"] }],
    );
    const Config = { ...inspect().Config, Entrypoint: body.Entrypoint as string[], Cmd: [] };
    const again = shadow({ template: inspect({ Config }) });
    assert.deepEqual([again.body.Entrypoint, again.body.Cmd], [["serve"], []]);
  });
});

describe("memory by CRIU", () => {
  it("is refused with what stands in its way, the first thing first", () => {
    const says = (change: Partial<CheckpointFacts>, pattern: RegExp) => {
      const facts = { engine: "docker", experimental: true, criu: { wrong: "" }, ...change } as const;
      const { code, message } = noCheckpoint("shop", facts);
      assert.equal(code, "refused");
      assert.match(
        message,
        /^container shop: checkpoint criu is not available, because .*: set container.checkpoint to none$/,
      );
      assert.match(message, pattern);
    };
    says({ criu: "missing", experimental: false }, /no program criu/);
    says({ criu: { wrong: "vdso: Unexpected" }, experimental: false }, /criu check says "vdso: Unexpected"/);
    says({ experimental: false }, /"experimental": true/);
    says({ experimental: false, engine: "podman" }, /does not move a program's memory/);
    says({}, /does not move a program's memory/);
  });
});
