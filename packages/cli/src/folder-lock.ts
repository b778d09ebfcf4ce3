/** One process at a time changes a folder. The lock is SQLite's: the system lets go of it when its holder dies, however. */
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { invalidKey } from "./key-file.ts";
import { errorCode, reasonOf } from "./reading.ts";

/** How long another process may take, in milliseconds: what is done here takes far less. */
const PATIENCE_MS = 10_000;
const PAUSE_MS = 20;

/** Does the work while nobody else holds `file`, which stays behind, empty. @throws GateError KEY_INVALID after 10 s. */
export async function whileLocked<T>(file: string, work: () => Promise<T>): Promise<T> {
  const lock = open(file);
  try {
    for (const end = performance.now() + PATIENCE_MS; !held(lock, file); await sleep(PAUSE_MS))
      if (performance.now() > end) throw invalidKey(file, "is held by another process");
    return await work();
  } finally {
    lock.close();
  }
}

function open(file: string): DatabaseSync {
  try {
    return new DatabaseSync(file, { timeout: 0 });
  } catch (cause) {
    throw invalidKey(file, `cannot be made: ${reasonOf(cause)}`, cause);
  }
}

function held(lock: DatabaseSync, file: string): boolean {
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return true;
  } catch (cause) {
    if (errorCode(cause) === "ERR_SQLITE_ERROR" && reasonOf(cause).includes("locked")) return false;
    throw invalidKey(file, reasonOf(cause), cause);
  }
}
