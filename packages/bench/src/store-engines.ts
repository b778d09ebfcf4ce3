/** The engines that stores stand on: a store of ours, and bare inserts of rows of the same size through the same driver. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Store } from "@stepgate/core";
import { sqliteStore } from "@stepgate/store-sqlite";

/** One engine, started for the benchmark. */
export interface Engine {
  readonly name: string;
  /** How durable an answer is here, in the engine's own words. */
  readonly durability: string;
  openStore(): Promise<Store>;
  /** Inserts rows of text in one go: durable, all of them, when it resolves. */
  insert(rows: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** Starts engines by name; an engine that this machine does not have is said and left out. */
export const ENGINES: Readonly<Record<string, () => Promise<Engine | string>>> = {
  sqlite: sqliteEngine,
};

async function sqliteEngine(): Promise<Engine> {
  const folder = await mkdtemp(join(tmpdir(), "stepgate-bench-"));
  const bare = new DatabaseSync(join(folder, "bare.db"));
  bare.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  bare.exec("CREATE TABLE row (id TEXT PRIMARY KEY, line TEXT NOT NULL) STRICT, WITHOUT ROWID");
  const statement = bare.prepare("INSERT INTO row (id, line) VALUES (?, ?)");
  return {
    name: "SQLite",
    durability: "WAL, synchronous=FULL",
    openStore: async () => sqliteStore(join(folder, `${randomUUID()}.db`)),
    async insert(rows) {
      bare.exec("BEGIN IMMEDIATE");
      for (const line of rows) statement.run(randomUUID(), line);
      bare.exec("COMMIT");
    },
    async close() {
      bare.close();
      await rm(folder, { recursive: true });
    },
  };
}
