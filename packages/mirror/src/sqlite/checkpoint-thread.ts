/** The thread behind checkpoint.ts: one passive checkpoint for each message, then the shared state goes back to idle. */

import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";

const { path, state } = workerData as { path: string; state: Int32Array };

parentPort!.on("message", (idle: number) => {
  try {
    checkpoint();
  } finally {
    Atomics.store(state, 0, idle);
    Atomics.notify(state, 0);
  }
});

/** The connection lives only as long as the checkpoint, so that none is left when the replica lets go. */
function checkpoint(): void {
  const connection = new DatabaseSync(path);
  try {
    connection.exec("PRAGMA synchronous=NORMAL; PRAGMA wal_checkpoint(PASSIVE)");
  } finally {
    connection.close();
  }
}
