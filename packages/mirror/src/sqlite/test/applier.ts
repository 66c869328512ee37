/** A process with a replica in it, to be killed. */

import type { PageChanges } from "../pages.ts";
import type { DatabaseReplica } from "../replica.ts";
import { openReplica } from "../replicate.ts";
import { answer } from "./processes.ts";

let replica: DatabaseReplica;

answer({
  open({ path }: { path: string }) {
    replica = openReplica(path);
  },
  apply: ({ changes }: { changes: PageChanges }) => replica.apply(changes),
  hashes: () => replica.pageHashes().hashes,
  close: () => replica.close(),
});
