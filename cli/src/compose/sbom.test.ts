import assert from "node:assert/strict";
import { test } from "node:test";
import { completed } from "./sbom.ts";

test("the list of an image has npm's packages, Node, and each library by its Debian package or its hash", () => {
  const npm = { bomFormat: "CycloneDX", components: [{ type: "library", name: "zod" }] } as const;
  const libraries = [
    { file: "/lib/libc.so.6", sha256: "aa", package: "libc6 2.36-9+deb12u9 amd64" },
    { file: "/lib/libodd.so.1", sha256: "bb", package: undefined },
  ];
  const { bomFormat, components = [] } = completed(npm, { node: "24.1.0", libraries });
  assert.equal(bomFormat, "CycloneDX");
  assert.deepEqual(
    components.map(({ name, purl }) => [name, purl]),
    [
      ["zod", undefined],
      ["node", "pkg:generic/node@24.1.0"],
      ["libc6", "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64"],
      ["/lib/libodd.so.1", undefined],
    ],
  );
  assert.deepEqual(components.at(-1)?.hashes, [{ alg: "SHA-256", content: "bb" }]);
});
