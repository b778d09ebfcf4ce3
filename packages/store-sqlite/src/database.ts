/** Opening the file: whose it is, whether it is whole, and the settings that durability rests on. */
import { closeSync, existsSync, openSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { GateError } from "@stepgate/core";
import { beginMark } from "./high-water-mark.ts";
import { mustBeWhole } from "./log-damage.ts";
import { isBusy } from "./patience.ts";
import { APPLICATION_ID, PAGE_BYTES, pragma, SCHEMA_VERSION } from "./schema.ts";
import { bringUpToDate } from "./upgrade.ts";
import { mustHoldTogether } from "./wal-damage.ts";
import { writeWalAgain } from "./write-wal-again.ts";

const OPENING_TIMEOUT_MS = 5000;
const SECURING_TIMEOUT_MS = 1000;
/** What the write-ahead log is cut back to when it begins anew. */
const WAL_KEPT_BYTES = 8 << 20;

/** A connection, and the absolute path of its file. */
export interface OpenedFile {
  readonly database: DatabaseSync;
  readonly file: string;
}

/**
 * Opens or begins the log at `path`; `again` opens one that was open before, and begins none. The connection never blocks
 * on a lock; callers wait with `patiently`.
 *
 * @throws GateError STORE_UNAVAILABLE where the file cannot be this store's, or is damaged; then it was left as it was.
 */
export function openDatabase(
  path: string,
  { again = false }: { readonly again?: boolean } = {},
): OpenedFile {
  const file = filePath(path);
  if (!again) makeFile(file);
  try {
    examine(file);
  } catch (cause) {
    throw asGateError(file, cause);
  }
  const database = open(file);
  try {
    setDurability(database, file);
    bringUpToDate(database);
    mustWriteAhead(database, file);
    secureWal(database, file);
    database.exec("PRAGMA busy_timeout = 0");
    return { database, file };
  } catch (cause) {
    database.close();
    throw asGateError(file, cause);
  }
}

/** Absolute, so that neither `file:` addresses nor a later change of folder lead elsewhere. @throws TypeError. */
function filePath(path: string): string {
  if (typeof path !== "string" || path === "")
    throw new TypeError("sqliteStore needs the path of a file");
  if (path === ":memory:")
    throw new TypeError(
      "sqliteStore keeps a file; for a store in memory use memoryStore() of @stepgate/core",
    );
  if (/^file:/i.test(path))
    throw new TypeError("sqliteStore needs a plain path, not a file: address");
  return resolve(path);
}

/** A new file is for its owner only, for receipts say who did what; SQLite gives its side files the same mode. */
function makeFile(file: string): void {
  const folder = dirname(file);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw cannotOpen(file, `the folder ${folder} does not exist`);
  try {
    // Exclusive: closing a descriptor of a file that is open already would drop this process's locks on it (POSIX).
    closeSync(openSync(file, "wx", 0o600));
    beginMark(file);
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST"))
      throw cannotOpen(file, reasonOf(cause), cause);
  }
}

/**
 * Looks before anything is written, through a connection that cannot write: another program's database must come out of
 * this unchanged, and of a damaged log nothing may be lost that a person could still save. (The last connection that can
 * write would move what is left of the write-ahead log into the file, and remove it.)
 */
function examine(file: string): void {
  if (statSync(file).size > 0) openReading(file).close();
}

/** A connection that only reads, to a log that is there and whole, as far as can be seen. @throws GateError, or of SQLite. */
export function openReading(file: string): DatabaseSync {
  mustHoldTogether(file);
  // Left where a loss of power cut off the making of the log: it must be rolled back first, which is a write.
  const hasJournal = existsSync(`${file}-journal`);
  const database = open(file, { readOnly: !hasJournal });
  try {
    mustBeOurs(database, file);
    mustBeWhole(database, file);
    return database;
  } catch (cause) {
    database.close();
    throw cause;
  }
}

function open(file: string, { readOnly = false } = {}): DatabaseSync {
  try {
    return new DatabaseSync(file, { timeout: OPENING_TIMEOUT_MS, readOnly });
  } catch (cause) {
    throw cannotOpen(file, reasonOf(cause), cause);
  }
}

function mustBeOurs(database: DatabaseSync, file: string): void {
  const { application, version, tables } = look(database);
  if (application !== APPLICATION_ID && (application !== 0 || tables !== 0))
    throw cannotOpen(file, "it is another program's database");
  const known = Number(version) >= 1 && Number(version) <= SCHEMA_VERSION;
  if (application === APPLICATION_ID && !known) {
    throw cannotOpen(
      file,
      `its schema is version ${String(version)}, and this program knows version ${SCHEMA_VERSION}`,
    );
  }
}

/** All of one moment: between two looks another process may have made the tables. */
function look(database: DatabaseSync): Record<"application" | "version" | "tables", unknown> {
  database.exec("BEGIN");
  try {
    const application = pragma(database, "application_id");
    const version = pragma(database, "user_version");
    const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"];
    return { application, version, tables };
  } finally {
    database.exec("ROLLBACK");
  }
}

/** Set explicitly and read back: a build of SQLite or a file system may have it otherwise. */
function setDurability(database: DatabaseSync, file: string): void {
  // Before the first page is written; a log that is there keeps what it has.
  database.exec(`PRAGMA page_size = ${PAGE_BYTES}`);
  if (writeAheadLog(database) !== "wal")
    throw cannotOpen(file, "no write-ahead log can be kept there (a network file system?)");
  // On macOS a plain fsync stops at the drive's cache; elsewhere these two change nothing.
  database.exec("PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON");
  database.exec("PRAGMA synchronous = FULL");
  if (pragma(database, "synchronous") !== 2)
    throw cannotOpen(file, "synchronous = FULL did not take");
  database.exec(`PRAGMA cell_size_check = ON; PRAGMA journal_size_limit = ${WAL_KEPT_BYTES}`);
}

/**
 * Looked at again after the first transaction: where the sync of the switch failed, SQLite says "wal" to it all the same,
 * goes on with a rollback journal, and a power loss could bring that journal back over an acknowledged commit.
 */
function mustWriteAhead(database: DatabaseSync, file: string): void {
  const mode = pragma(database, "journal_mode");
  if (mode !== "wal") throw cannotOpen(file, `the journal is kept as "${String(mode)}"`);
}

/**
 * Before anything is read: what stands in the write-ahead log may be there in the system's memory only, for an earlier
 * process may have died before it was synced. Whoever holds the write lock for so long is alive, and did this when it opened.
 */
function secureWal(database: DatabaseSync, file: string): void {
  try {
    database.exec(`PRAGMA busy_timeout = ${SECURING_TIMEOUT_MS}; BEGIN IMMEDIATE`);
  } catch (error) {
    if (isBusy(error)) return;
    throw error;
  }
  try {
    writeWalAgain(file);
  } finally {
    database.exec("ROLLBACK");
  }
}

/** SQLite's own waiting does not cover this switch, which needs the whole file for a moment. */
function writeAheadLog(database: DatabaseSync): unknown {
  const deadline = performance.now() + OPENING_TIMEOUT_MS;
  for (;;) {
    try {
      return pragma(database, "journal_mode = WAL");
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

function asGateError(file: string, cause: unknown): GateError {
  return GateError.isInstance(cause) ? cause : cannotOpen(file, reasonOf(cause), cause);
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function cannotOpen(file: string, reason: string, cause?: unknown): GateError {
  return new GateError("STORE_UNAVAILABLE", `cannot open the store ${file}: ${reason}`, { cause });
}
