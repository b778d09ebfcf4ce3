/** A connection that is not trusted again once it failed: it is closed, and the next use opens another on what is on disk. */
import type { DatabaseSync } from "node:sqlite";
import { GateError } from "@stepgate/core";
import { type LogStatements, logStatements } from "./append-records.ts";
import { type OpenedFile, openDatabase } from "./database.ts";
import { highWaterMark } from "./high-water-mark.ts";
import { walLimit } from "./wal-limit.ts";

/** An open log. */
export interface Log {
  readonly database: DatabaseSync;
  readonly statements: LogStatements;
  /** Begins a transaction that holds the file's write lock. @throws an error of SQLite's, also where the file is busy. */
  begin(): void;
  commit(): void;
  /** Where a transaction cannot go on: it was not. @throws an error of SQLite's. */
  rollBack(): void;
  /** To be called after a commit, which it cannot undo. */
  committed(): void;
  close(): void;
}

/** Where the log lies, through one connection after the other. */
export interface Connection {
  /** Absolute. */
  readonly file: string;
  /** The log as it is open now. @throws GateError STORE_UNAVAILABLE where it is closed, or cannot be opened again. */
  log(): Log;
  /** After a fault: nothing that this connection believes about the file holds any more. */
  drop(): void;
  /** For good. */
  close(): void;
}

/** Opens the log at `path`, or begins one. @throws GateError STORE_UNAVAILABLE. */
export function connect(path: string): Connection {
  const first = openDatabase(path);
  let open: Log | undefined = logOf(first);
  let isClosed = false;

  function drop(): void {
    const failed = open;
    open = undefined;
    try {
      failed?.close();
    } catch {
      // SQLite says here what the fault was about, which is known; the handle is gone either way.
    }
  }

  return {
    file: first.file,
    log() {
      if (isClosed) throw new GateError("STORE_UNAVAILABLE", "the store is closed");
      // Never a new file in the place of a log that is gone.
      return (open ??= logOf(openDatabase(first.file, { again: true })));
    },
    drop,
    close() {
      isClosed = true;
      drop();
    },
  };
}

function logOf({ database, file }: OpenedFile): Log {
  const statements = logStatements(database);
  const mark = highWaterMark(file);
  const limit = walLimit(database, file);
  const begin = database.prepare("BEGIN IMMEDIATE");
  const commit = database.prepare("COMMIT");
  return {
    database,
    statements,
    begin() {
      begin.run();
      statements.heads.refresh();
    },
    commit() {
      commit.run();
    },
    rollBack() {
      statements.heads.forget();
      if (database.isTransaction) database.exec("ROLLBACK");
    },
    committed() {
      mark.raise(Number(statements.end.get()?.["position"] ?? 0));
      limit();
    },
    close() {
      mark.close();
      if (database.isOpen) database.close();
    },
  };
}
