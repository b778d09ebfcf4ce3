/** Whether a file and where it lies can keep a log: what `stepgate store check` says of `sqlite:`. Changes nothing there. */
import { statfsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { GateError, type StoreFinding } from "@stepgate/core";
import { openReading } from "./database.ts";
import { markFile, standingMark } from "./high-water-mark.ts";
import { isIntact } from "./row-checksum.ts";
import { pragma, rowsOfRecords, SCHEMA_VERSION } from "./schema.ts";

const MEGABYTE = 1 << 20;
const LITTLE_SPACE = 64 * MEGABYTE;
const SOME_SPACE = 1024 * MEGABYTE;
/** What a decision takes at most, in batches of dozens. */
const DECISION_BYTES = 2000;
/** Several times what the store lets it grow to. */
const LONG_WAL = 64 * MEGABYTE;
const PROBLEMS = 20;

/**
 * Looks at the file's rights, its file system and room, and at every page, index and record of the log; a gate may go on
 * writing to it. Reads the whole file, some seconds a gigabyte, and blocks meanwhile.
 *
 * @throws TypeError for what is no path.
 */
export function checkSqlite(path: string): readonly StoreFinding[] {
  if (typeof path !== "string" || path === "") throw new TypeError("checkSqlite needs a path");
  const file = resolve(path);
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile())
    return [fault("file", `There is no file ${file}, so there are no receipts in it.`)];
  return [
    rights(file, stat.mode),
    fileSystem(file),
    room(file),
    writeAheadLog(file),
    ...contents(file),
  ];
}

function rights(file: string, mode: number): StoreFinding {
  const octal = (mode & 0o777).toString(8).padStart(4, "0");
  if ((mode & 0o077) === 0) return ok("permissions", `Only its owner can open it (${octal}).`);
  return warning(
    "permissions",
    `Others than its owner can open it (${octal}), and read who did what, or change it.`,
    `chmod 600 ${file}*`,
  );
}

/** Magic numbers of statfs(2). */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xfe534d42, "SMB"],
  [0xff534d42, "CIFS"],
  [0x01021997, "9P"],
  [0x00c36400, "Ceph"],
  [0x0bd00bd0, "Lustre"],
  [0x47504653, "GPFS"],
]);
const IN_MEMORY: ReadonlyMap<number, string> = new Map([
  [0x01021994, "tmpfs"],
  [0x858458f6, "ramfs"],
]);
const OVERLAY = 0x794c7630;
const FUSE = 0x65735546;

function fileSystem(file: string): StoreFinding {
  const check = "file system";
  const { type } = statfsSync(file);
  const network = NETWORK.get(type);
  const memory = IN_MEMORY.get(type);
  const fix = "keep the log on a local disk, or use PostgreSQL";
  if (network !== undefined)
    return fault(
      check,
      `It lies on ${network}, where SQLite's locks do not hold between hosts: two gates could both be allowed.`,
      fix,
    );
  if (memory !== undefined)
    return fault(
      check,
      `It lies in memory (${memory}): a restart of the machine loses receipts of executed actions.`,
      fix,
    );
  if (type === FUSE)
    return warning(
      check,
      "It lies on FUSE: whether it syncs and locks is up to what is behind it.",
      fix,
    );
  if (type === OVERLAY)
    return warning(
      check,
      "It lies in a container's own layer, and is gone with the container.",
      "mount a volume for it",
    );
  return ok(check, `It lies on a local file system (type 0x${type.toString(16)}).`);
}

function room(file: string): StoreFinding {
  const { bavail, bsize } = statfsSync(dirname(file));
  const bytes = bavail * bsize;
  const left = `${Math.floor(bytes / MEGABYTE)} MB are left on its disk, for some ${Math.floor(bytes / DECISION_BYTES)} decisions`;
  const fix = "make room on the disk";
  if (bytes < LITTLE_SPACE)
    return fault("free space", `Only ${left}: then every action is denied.`, fix);
  if (bytes < SOME_SPACE) return warning("free space", `Only ${left}.`, fix);
  return ok("free space", `${left}.`);
}

function writeAheadLog(file: string): StoreFinding {
  const size = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  const megabytes = (size / MEGABYTE).toFixed(1);
  if (size <= LONG_WAL) return ok("write-ahead log", `It has ${megabytes} MB.`);
  return warning(
    "write-ahead log",
    `It has ${megabytes} MB: somebody has read an old state for long, and keeps it from being moved into the file.`,
    "end the programs that have the file open for reading",
  );
}

/** Findings of what is in the file; a fault where it cannot even be opened. */
function contents(file: string): readonly StoreFinding[] {
  let database: DatabaseSync;
  try {
    database = openReading(file);
  } catch (cause) {
    const check = GateError.isInstance(cause) ? "log" : "file";
    return [fault(check, `${reasonOf(cause)}.`)];
  }
  try {
    return [
      journal(database),
      schema(database),
      ...structure(database),
      ...records(database),
      mark(file),
    ];
  } catch (cause) {
    return [fault("log", `It cannot be read to its end: ${reasonOf(cause)}.`, RESTORE)];
  } finally {
    database.close();
  }
}

const RESTORE = "put back a copy of the log, and keep this one for what it may still tell";

function journal(database: DatabaseSync): StoreFinding {
  const mode = String(pragma(database, "journal_mode"));
  const version = String(database.prepare("SELECT sqlite_version() AS v").get()?.["v"]);
  if (mode === "wal")
    return ok(
      "journal",
      `Commits are written ahead (WAL), synced by each store that opens it; SQLite ${version}.`,
    );
  return warning(
    "journal",
    `Its journal is kept as "${mode}", and not written ahead until a store opens it.`,
    "open it once with a gate",
  );
}

function schema(database: DatabaseSync): StoreFinding {
  const version = Number(pragma(database, "user_version"));
  if (version === SCHEMA_VERSION) return ok("schema", `Its schema is version ${version}.`);
  return warning(
    "schema",
    `Its schema is version ${version}; it becomes ${SCHEMA_VERSION} where a store opens it, for which its records are copied, and earlier programs refuse it then.`,
  );
}

function structure(database: DatabaseSync): readonly StoreFinding[] {
  const problems = database
    .prepare(`PRAGMA integrity_check(${PROBLEMS})`)
    .all()
    .map((row) => String(row["integrity_check"]));
  if (problems.join() === "ok") return [ok("structure", "Every page and every index is sound.")];
  return problems.map((problem) => fault("structure", `SQLite finds: ${problem}.`, RESTORE));
}

/** Every row is what was written, and none is missing. What the receipts in them say is for `stepgate verify`. */
function records(database: DatabaseSync): readonly StoreFinding[] {
  let expected = 0;
  let unchecked = 0;
  const problems: string[] = [];
  const rows = database.prepare(`${rowsOfRecords(database)} ORDER BY r.position`);
  for (const row of rows.iterate()) {
    expected++;
    const position = Number(row["position"]);
    if (position !== expected)
      problems.push(`Positions ${expected} to ${position - 1} are missing`);
    else if (!isIntact(row))
      problems.push(`The record at position ${position} is not what was written`);
    if (row["crc"] === null || row["crc"] === undefined) unchecked++;
    expected = position;
    if (problems.length >= PROBLEMS) break;
  }
  if (problems.length > 0)
    return problems.map((problem) => fault("records", `${problem}.`, RESTORE));
  const without =
    unchecked === 0 ? "" : `; ${unchecked} are older than checksums, and were not compared`;
  return [ok("records", `All ${expected} records are what was written${without}.`)];
}

function mark(file: string): StoreFinding {
  const standing = standingMark(file);
  if (standing > 0)
    return ok("high-water mark", `None of the ${standing} records that it tells of is missing.`);
  return warning(
    "high-water mark",
    `There is no ${markFile(file)}, or it is torn: acknowledged records that went with the end of the log would not be missed.`,
    "it is made with the next commit",
  );
}

function ok(check: string, message: string): StoreFinding {
  return { check, level: "ok", message };
}

function warning(check: string, message: string, fix?: string): StoreFinding {
  return { check, level: "warning", message, ...(fix === undefined ? {} : { fix }) };
}

function fault(check: string, message: string, fix?: string): StoreFinding {
  return { check, level: "fault", message, ...(fix === undefined ? {} : { fix }) };
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
