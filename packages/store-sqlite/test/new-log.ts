/** A fresh folder for one test's log, removed with it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Append } from "@stepgate/core";
import { type SqliteStore, sqliteStore, type SqliteStoreOptions } from "@stepgate/store-sqlite";
import { onTestFinished } from "vitest";
import { sampleRecord } from "@stepgate/contract";

/** A path at which no log is yet, and stores over it that are closed when the test ends. */
export interface NewLog {
  readonly folder: string;
  readonly path: string;
  open(options?: Omit<SqliteStoreOptions, "path">): SqliteStore;
}

/** Made within a test; cleans up after it. */
export function newLog(): NewLog {
  const folder = mkdtempSync(join(tmpdir(), "stepgate-"));
  const path = join(folder, "log.db");
  const opened: SqliteStore[] = [];
  onTestFinished(async () => {
    await Promise.all(opened.map((store) => store.close()));
    rmSync(folder, { recursive: true });
  });
  return {
    folder,
    path,
    open(options = {}) {
      const store = sqliteStore({ path, ...options });
      opened.push(store);
      return store;
    },
  };
}

/** An append of one record. */
export function one(sequenceId: string, seq: number, content = "record"): Append {
  return { sequence_id: sequenceId, records: [sampleRecord(sequenceId, seq, content)] };
}
