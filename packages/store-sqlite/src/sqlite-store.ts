/** The embedded default store: one SQLite file, durable before an append is answered, shared by processes of one host. */
import {
  GateError,
  mustBeIndexing,
  mustBeStorable,
  mustBeText,
  type OpenAllow,
  type Store,
} from "@stepgate/core";
import type { LogStatements } from "./append-records.ts";
import { backUp, type BackUp, type BackUpOptions } from "./back-up.ts";
import { connect } from "./connection.ts";
import { gradualWriter } from "./gradual-writer.ts";
import { indexedLines, leafOf, logEnd, nodeAt } from "./index-records.ts";
import { inlineWriter } from "./inline-writer.ts";
import { isBusy, patiently } from "./patience.ts";
import { linesOf, recordsBetween, totalOf } from "./read-records.ts";

/** Where the log lies, and how long to wait for another process that writes to it. */
export interface SqliteStoreOptions {
  /** The file; made (mode 0600) where there is none, in a folder that exists. */
  readonly path: string;
  /**
   * How long a call waits in milliseconds while other processes hold the file's lock; an append then ends as `unknown`,
   * unwritten. Default 900: below a gate's deadline of 1,000, so that nothing is written that nobody waits for.
   */
  readonly busyTimeoutMs?: number;
  /**
   * Where commits are made. `thread`, the default: in a thread of their own, once there is so much to write that it is
   * worth one, so that the event loop goes on while the disk syncs. `inline`: in the calling thread always.
   */
  readonly writer?: "thread" | "inline";
}

/** A store whose log is a file. */
export interface SqliteStore extends Store {
  /**
   * Copies the log as it stands now to a new file, while it is written to: whole and checked, or not at all.
   *
   * @throws GateError STORE_UNAVAILABLE where it cannot be made, INVALID_INPUT where a file is there already.
   */
  backupTo(path: string, options?: BackUpOptions): Promise<BackUp>;
}

const DEFAULT_BUSY_TIMEOUT_MS = 900;
const PAGE = 512;
/** A command that writes a few records ends before a thread would have begun. */
const INLINE_WRITES = 32;

/**
 * Opens the log in an SQLite file, or begins one. All appends of one turn of the event loop share a transaction and its
 * fsync, and are answered after it; a thread may be given them in two halves.
 *
 * @throws TypeError for a path that is no file's, GateError STORE_UNAVAILABLE where the file cannot be this store's.
 * @example
 * const gate = await createGate({ policies, store: sqliteStore("./stepgate.db"), signer, saltKey });
 */
export function sqliteStore(where: string | SqliteStoreOptions): SqliteStore {
  return openStore(typeof where === "string" ? { path: where } : where);
}

/** {@link sqliteStore}; `inlineWrites` says how many writes are made before there is a thread for them. */
export function openStore(
  { path, busyTimeoutMs = DEFAULT_BUSY_TIMEOUT_MS, writer = "thread" }: SqliteStoreOptions,
  inlineWrites: number = INLINE_WRITES,
): SqliteStore {
  if (!Number.isSafeInteger(busyTimeoutMs) || busyTimeoutMs < 0)
    throw new TypeError("busyTimeoutMs must be whole milliseconds");
  if (writer !== "thread" && writer !== "inline")
    throw new TypeError('writer is "thread" or "inline"');
  let isClosed = false;
  const connection = connect(path);
  const commits =
    writer === "inline"
      ? inlineWriter(connection, busyTimeoutMs)
      : gradualWriter({ connection, busyTimeoutMs, inlineWrites });

  /** Reads see what is committed; they wait only in the rare moments when SQLite needs the file for itself. */
  async function query<T>(read: (log: LogStatements) => T): Promise<T> {
    try {
      return await patiently(busyTimeoutMs, () => read(connection.log().statements));
    } catch (cause) {
      if (!isBusy(cause)) connection.drop();
      throw unavailable("cannot be read", cause);
    }
  }

  async function change<T>(written: Promise<T>): Promise<T> {
    try {
      return await written;
    } catch (cause) {
      throw unavailable("cannot be written", cause);
    }
  }

  return {
    async setting(name, value) {
      mustBeText(name, value);
      const standing = await query((log) => log.setting.get(name)?.["value"]);
      if (standing !== undefined) return String(standing);
      return change(commits.submit<"settle">({ kind: "settle", name, value }));
    },
    async append(append) {
      mustBeStorable(append);
      if (isClosed) throw unavailable("is closed");
      // Whatever undid the transaction, no caller can tell whether a failed COMMIT reached the disk.
      return commits.submit<"append">({ kind: "append", append }).catch(() => "unknown");
    },
    read: (sequenceId, from, count) => query((log) => linesOf(log, sequenceId, from, count ?? -1)),
    lines: () => lines(query),
    async keep(documents) {
      for (const { digest, text } of documents) mustBeText(digest, text);
      await change(commits.submit<"keep">({ kind: "keep", documents }));
    },
    async document(digest) {
      const row = await query((log) => log.document.get(digest));
      return row === undefined ? undefined : String(row["text"]);
    },
    counters: (names) =>
      query(
        (log) =>
          new Map(
            names.flatMap((name) => {
              const total = totalOf(log, name);
              return total === undefined ? [] : [[name, total] as const];
            }),
          ),
      ),
    openAllows: () => openAllows(query),
    unindexed: (count) => query((log) => logEnd(log, count)),
    async index(indexing) {
      mustBeIndexing(indexing);
      return change(commits.submit<"index">({ kind: "index", indexing }));
    },
    nodes: (places) => query((log) => places.map((place) => nodeAt(log, place))),
    indexed: (from, count) => query((log) => indexedLines(log, from, count)),
    leaf: (sequenceId, seq) => query((log) => leafOf(log, sequenceId, seq)),
    async backupTo(to, options) {
      if (isClosed) throw unavailable("is closed");
      return backUp(connection.file, to, options);
    },
    async close() {
      isClosed = true;
      await commits.close();
      connection.close();
    },
  };
}

type Query = <T>(read: (log: LogStatements) => T) => Promise<T>;
type Row = Record<string, unknown>;

/** Pages up to where the log ended when the first one was asked for: a busy log must not make this endless. */
async function* lines(query: Query): AsyncGenerator<string> {
  const end = await query((log) => Number(log.end.get()?.["position"] ?? 0));
  for (let from = 0; from < end; from += PAGE) {
    const page = await query((log) => recordsBetween(log, from, Math.min(from + PAGE, end)));
    for (const { line } of page) yield line;
  }
}

async function* openAllows(query: Query): AsyncGenerator<OpenAllow> {
  for (let after = 0; ;) {
    const page = await query((log) => log.openAllows.all(after, PAGE));
    for (const row of page) yield openAllow(row);
    if (page.length < PAGE) return;
    after = Number(page.at(-1)?.["position"]);
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

function unavailable(what: string, cause?: unknown): GateError {
  if (GateError.isInstance(cause)) return cause;
  const reason = cause instanceof Error ? `: ${cause.message}` : "";
  return new GateError("STORE_UNAVAILABLE", `the store ${what}${reason}`, { cause });
}
