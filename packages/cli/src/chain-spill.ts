/** Where `verify` puts chains aside: a temporary database of this process, made once one is needed. */
import { DatabaseSync } from "node:sqlite";
import { type ChainSpill, GateError } from "@stepgate/core";

/** A spill that is to be closed. */
export interface TemporarySpill extends ChainSpill {
  /** Gives back the space. */
  close(): void;
}

/**
 * A spill in a file that has no name: the system takes it back when the process ends, however that happens. It lies where
 * SQLite puts temporary files: in `SQLITE_TMPDIR`, `TMPDIR`, else `/var/tmp` or `/tmp`.
 *
 * @throws GateError STORE_UNAVAILABLE from each of its functions where there is no space for it.
 */
export function createSpill(): TemporarySpill {
  let open: ReturnType<typeof openDatabase> | undefined;
  return {
    save: (id, from, packed) =>
      void asked(() => (open ??= openDatabase()).save.run(from, id, packed)),
    load: (id) => asked(() => textOf(open?.load.get(id)?.["packed"])),
    *all() {
      for (const { id, packed } of open?.all.iterate() ?? [])
        yield [textOf(id) ?? "", textOf(packed) ?? ""] as const;
    },
    close: () => open?.database.close(),
  };
}

/** The rows are cache and nothing else: nothing is journalled, nothing synchronised, and one transaction holds everything. */
const SETTINGS = `
  PRAGMA journal_mode = OFF;
  PRAGMA synchronous = OFF;
  PRAGMA cache_size = -16000;
  CREATE TABLE chain (first_line INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, packed TEXT NOT NULL) STRICT;
  BEGIN;
`;

function openDatabase() {
  // SQLite: an empty name is a temporary file, deleted as soon as it is open.
  const database = new DatabaseSync("");
  database.exec(SETTINGS);
  return {
    database,
    save: database.prepare(
      "INSERT INTO chain VALUES (?, ?, ?) ON CONFLICT (first_line) DO UPDATE SET packed = excluded.packed",
    ),
    load: database.prepare("SELECT packed FROM chain WHERE id = ?"),
    all: database.prepare("SELECT id, packed FROM chain ORDER BY first_line"),
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function asked<T>(ask: () => T): T {
  try {
    return ask();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GateError(
      "STORE_UNAVAILABLE",
      `the temporary file of verify cannot be used: ${reason}; TMPDIR says in which folder it lies`,
      { cause },
    );
  }
}
