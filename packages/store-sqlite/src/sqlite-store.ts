/** The embedded default store: one SQLite file, durable before an append is answered, shared by processes of one host. */
import {
  GateError,
  mustBeIndexing,
  mustBeStorable,
  mustBeText,
  type OpenAllow,
  type Store,
} from "@stepgate/core";
import { appendRecords, type LogStatements, logStatements, totalOf } from "./append-records.ts";
import { openDatabase } from "./database.ts";
import { groupCommit } from "./group-commit.ts";
import { indexedLines, indexRecords, leafOf, logEnd, nodeAt } from "./index-records.ts";
import { patiently } from "./patience.ts";

/** Where the log lies, and how long to wait for another process that writes to it. */
export interface SqliteStoreOptions {
  /** The file; made (mode 0600) where there is none, in a folder that exists. */
  readonly path: string;
  /**
   * How long a call waits in milliseconds while other processes hold the file's lock; an append then ends as `unknown`,
   * unwritten. Default 900: below a gate's deadline of 1,000, so that nothing is written that nobody waits for.
   */
  readonly busyTimeoutMs?: number;
}

const DEFAULT_BUSY_TIMEOUT_MS = 900;
const PAGE = 512;

/**
 * Opens the log in an SQLite file, or begins one. All appends of one turn of the event loop share one transaction and
 * one fsync, and are answered after it.
 *
 * @throws TypeError for a path that is no file's, GateError STORE_UNAVAILABLE where the file cannot be this store's.
 * @example
 * const gate = await createGate({ policies, store: sqliteStore("./stepgate.db"), signer, saltKey });
 */
export function sqliteStore(where: string | SqliteStoreOptions): Store {
  const { path, busyTimeoutMs = DEFAULT_BUSY_TIMEOUT_MS } =
    typeof where === "string" ? { path: where } : where;
  if (!Number.isSafeInteger(busyTimeoutMs) || busyTimeoutMs < 0)
    throw new TypeError("busyTimeoutMs must be whole milliseconds");
  const database = openDatabase(path);
  const log = logStatements(database);
  const commits = groupCommit(database, busyTimeoutMs);

  /** Reads see what is committed; they wait only in the rare moments when SQLite needs the file for itself. */
  async function query<T>(read: () => T): Promise<T> {
    try {
      return await patiently(busyTimeoutMs, read);
    } catch (cause) {
      throw unavailable("cannot be read", cause);
    }
  }

  async function change<T>(work: () => T): Promise<T> {
    try {
      return await commits.submit(work);
    } catch (cause) {
      throw unavailable("cannot be written", cause);
    }
  }

  return {
    async setting(name, value) {
      mustBeText(name, value);
      const standing = await query(() => log.setting.get(name)?.["value"]);
      return standing === undefined ? change(() => settle(log, name, value)) : String(standing);
    },
    async append(append) {
      mustBeStorable(append);
      if (!database.isOpen) throw unavailable("is closed");
      // Whatever undid the transaction, no caller can tell whether a failed COMMIT reached the disk.
      return commits.submit(() => appendRecords(log, append)).catch(() => "unknown");
    },
    read: (sequenceId, from, count) =>
      query(() => texts(log.read.all(sequenceId, from, count ?? -1), "line")),
    lines: () => lines(log, query),
    async keep(documents) {
      for (const { digest, text } of documents) mustBeText(digest, text);
      await change(() => documents.forEach(({ digest, text }) => log.keep.run(digest, text)));
    },
    async document(digest) {
      const row = await query(() => log.document.get(digest));
      return row === undefined ? undefined : String(row["text"]);
    },
    counters: (names) =>
      query(
        () =>
          new Map(
            names.flatMap((name) => {
              const total = totalOf(log, name);
              return total === undefined ? [] : [[name, total] as const];
            }),
          ),
      ),
    openAllows: () => openAllows(log, query),
    unindexed: (count) => query(() => logEnd(log, count)),
    async index(indexing) {
      mustBeIndexing(indexing);
      return change(() => indexRecords(log, indexing));
    },
    nodes: (places) => query(() => places.map((place) => nodeAt(log, place))),
    indexed: (from, count) => query(() => indexedLines(log, from, count)),
    leaf: (sequenceId, seq) => query(() => leafOf(log, sequenceId, seq)),
    async close() {
      await commits.drained();
      if (database.isOpen) database.close();
    },
  };
}

type Query = <T>(read: () => T) => Promise<T>;
type Row = Record<string, unknown>;

/** Pages up to where the log ended when the first one was asked for: a busy log must not make this endless. */
async function* lines(log: LogStatements, query: Query): AsyncGenerator<string> {
  const end = await query(() => Number(log.end.get()?.["position"] ?? 0));
  for (let position = 0; position < end; position += PAGE) {
    yield* await query(() => texts(log.page.all(position, Math.min(position + PAGE, end)), "line"));
  }
}

async function* openAllows(log: LogStatements, query: Query): AsyncGenerator<OpenAllow> {
  for (let after = ""; ;) {
    const page = (await query(() => log.openAllows.all(after, PAGE))).map(openAllow);
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = last.hash;
  }
}

function openAllow(row: Row): OpenAllow {
  return {
    sequence_id: String(row["sequence_id"]),
    hash: String(row["hash"]),
    gate_id: String(row["gate_id"]),
    expires_ms: Number(row["expires_ms"]),
  };
}

function settle(log: LogStatements, name: string, value: string): string {
  log.settle.run(name, value);
  return String(log.setting.get(name)?.["value"]);
}

function texts(rows: readonly Row[], column: string): readonly string[] {
  return rows.map((row) => String(row[column]));
}

function unavailable(what: string, cause?: unknown): GateError {
  if (GateError.isInstance(cause)) return cause;
  const reason = cause instanceof Error ? `: ${cause.message}` : "";
  return new GateError("STORE_UNAVAILABLE", `the store ${what}${reason}`, { cause });
}
