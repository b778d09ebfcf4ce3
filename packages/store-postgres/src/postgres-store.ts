/** The store on PostgreSQL: one log for many gates on many machines, durable on the primary before an append is answered. */
import {
  GateError,
  mustBeIndexing,
  mustBeStorable,
  mustBeText,
  type Append,
  type Indexing,
  type LogEnd,
  type NodePlace,
  type OpenAllow,
  type Store,
} from "@stepgate/core";
import { counterId, lockKey } from "./append-arguments.ts";
import { groupAppend, type LogAddress } from "./append-batch.ts";
import { type Connections, connections, unavailable } from "./connections.ts";
import { groupRead } from "./group-read.ts";
import type { PostgresPool, Row } from "./pool-clients.ts";
import { readLines } from "./read-lines.ts";
import { DEFAULT_SCHEMA, quoted } from "./schema.ts";
import { mustBeCurrent } from "./schema-version.ts";
import { mustBeDurable } from "./server-settings.ts";

/** Which log, and how long to wait for it. */
export interface PostgresStoreOptions {
  /**
   * A pool of `pg`, of the store's own: connections are set for it (time-outs, `synchronous_commit`). Three connections
   * are enough for appends, every further one reads. One that was just used is kept for some milliseconds. The pool is
   * left open by `close()`.
   */
  readonly pool: PostgresPool;
  /** The schema that `migrate` made. Default `stepgate`. */
  readonly schema?: string;
  /**
   * How long a call waits in milliseconds; an append then ends as `unknown`, and may be written yet. Default 900: below a
   * gate's deadline of 1,000.
   */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 900;
/** For each look at the server while a store is opened, which no decision waits for. */
const OPENING_MS = 10_000;
/** How many records a start may read through before a floor is laid for the next one. */
const WORTH_A_FLOOR = 20_000;

/**
 * Opens a log that `migrate` has made. Appends that come while others are under way share a statement and an fsync, and
 * are answered when the primary (and its synchronous standbys, where there are any) has them on disk.
 *
 * @throws TypeError for options that cannot be, GateError STORE_UNAVAILABLE where the server cannot be reached, is a
 *   standby, may lose what it answered, or holds no log of this version: with the command that mends it.
 * @example
 * const store = await postgresStore({ pool: new pg.Pool({ connectionString: "postgres://gate@db/app" }) });
 * const gate = await createGate({ policies, store, signer, saltKey });
 */
export async function postgresStore(options: PostgresStoreOptions): Promise<Store> {
  const { pool, schema = DEFAULT_SCHEMA, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1)
    throw new TypeError("timeoutMs must be whole milliseconds from 1 on");
  const at = quoted(schema);
  const database = connections(pool, timeoutMs);
  const query: Connections["query"] = (text, values) =>
    database.query(text, values, Math.max(timeoutMs, OPENING_MS));
  const opening = { ...database, query };
  try {
    await mustBeDurable(opening);
    await mustBeCurrent(opening, schema);
    return storeOn(database, { at, era: await currentEra(opening, at) }, timeoutMs);
  } catch (cause) {
    database.close();
    throw unavailable("cannot be opened", cause);
  }
}

function storeOn(database: Connections, log: LogAddress, timeoutMs: number): Store {
  const { at, era } = log;
  const appends = groupAppend(database, log, timeoutMs);
  const reads = groupRead(database, at, timeoutMs);
  let isOpen = true;

  function mustBeOpen(): void {
    if (!isOpen) throw unavailable("is closed");
  }

  /** For what a decision waits for. */
  async function query(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    mustBeOpen();
    return database.query(text, values).catch((cause: unknown) => {
      throw unavailable("cannot be used", cause);
    });
  }

  async function patiently(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    mustBeOpen();
    return database.patiently(text, values).catch((cause: unknown) => {
      throw unavailable("cannot be used", cause);
    });
  }

  return {
    async setting(name, value) {
      mustBeKept(name, value);
      const [standing] = await query(`SELECT value FROM ${at}.setting WHERE name = $1`, [name]);
      if (standing !== undefined) return String(standing["value"]);
      await query(
        `INSERT INTO ${at}.setting (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
        [name, value],
      );
      const [settled] = await query(`SELECT value FROM ${at}.setting WHERE name = $1`, [name]);
      return String(settled?.["value"]);
    },
    async append(append) {
      mustBeAppendable(append);
      mustBeOpen();
      return appends.submit(append).catch(() => "unknown");
    },
    async read(sequenceId, from, count) {
      mustBeKept(sequenceId);
      mustBeOpen();
      const read = { sequence_id: sequenceId, from, count };
      const lines = await reads.submit(read).catch((cause: unknown) => {
        throw unavailable("cannot be read", cause);
      });
      return lines.map((line) => lineOf(line, `sequence '${sequenceId}'`));
    },
    lines: () => readLines(patiently, log),
    async keep(documents) {
      for (const { digest, text } of documents) mustBeKept(digest, text);
      if (documents.length === 0) return;
      await query(
        `INSERT INTO ${at}.document (digest, text) SELECT * FROM unnest($1::text[], $2::text[]) AS d (digest, text)
         ORDER BY d.digest COLLATE "C" ON CONFLICT DO NOTHING`,
        [documents.map(({ digest }) => digest), documents.map(({ text }) => text)],
      );
    },
    async document(digest) {
      const [row] = await query(`SELECT text FROM ${at}.document WHERE digest = $1`, [digest]);
      return row === undefined ? undefined : String(row["text"]);
    },
    async counters(names) {
      if (names.length === 0) return new Map();
      const rows = await query(
        `SELECT i.nth, (SELECT trim_scale(c.total)::text FROM ${at}.counter c WHERE c.id = i.id ORDER BY c.step DESC LIMIT 1) AS total
         FROM unnest($1::bytea[]) WITH ORDINALITY AS i (id, nth)`,
        [names.map(counterId)],
      );
      return new Map(
        rows.flatMap(({ nth, total }) => {
          const name = names[Number(nth) - 1];
          return name === undefined || typeof total !== "string" ? [] : [[name, total] as const];
        }),
      );
    },
    async *openAllows() {
      const key = lockKey(at, "open allows");
      const rows = await patiently(`SELECT * FROM ${at}.open_allows($1, $2, $3)`, [
        era,
        key,
        WORTH_A_FLOOR,
      ]);
      yield* rows.map(openAllow);
    },
    async unindexed(count) {
      return logEnd(await patiently(`SELECT * FROM ${at}.unindexed($1)`, [count]));
    },
    async index(indexing) {
      mustBeIndexing(indexing);
      const [row] = await patiently(
        `SELECT ${at}.index_leaves($1, $2, $3, $4::text[], $5::bigint[], $6::text[], $7::integer[], $8::bigint[], $9::text[]) AS won`,
        [era, lockKey(at, "tree"), ...indexingArguments(indexing)],
      );
      return row?.["won"] === true ? "won" : "lost";
    },
    nodes: (places) => nodesAt(query, at, places),
    async indexed(from, count) {
      const rows = await patiently(
        `SELECT l.place, r.line FROM ${at}.leaf l LEFT JOIN ${at}.record r ON r.sequence_id = l.sequence_id AND r.seq = l.seq
         WHERE l.place >= $1 AND l.place < $1 + $2 ORDER BY l.place`,
        [from, count],
      );
      return rows.map(({ place, line }) =>
        lineOf(line, `the record with leaf index ${String(place)}`),
      );
    },
    async leaf(sequenceId, seq) {
      const [row] = await query(
        `SELECT place FROM ${at}.leaf WHERE sequence_id = $1 AND seq = $2`,
        [sequenceId, seq],
      );
      return row === undefined ? undefined : Number(row["place"]);
    },
    async close() {
      isOpen = false;
      await Promise.all([appends.drained(), reads.drained()]);
      database.close();
    },
  };
}

/**
 * Which server's transactions are counted: one that was restored from a dump, or upgraded, counts anew, and what it writes
 * comes after all that it was given.
 */
async function currentEra(database: Connections, at: string): Promise<number> {
  // Who was second to begin an era waited until the first had, and finds it at the next look.
  for (let look = 0; look < 3; look++) {
    const [row] = await database.query(
      `WITH here AS (SELECT system_identifier::text AS id FROM pg_control_system()),
         last AS (SELECT era, system_identifier AS id FROM ${at}.era ORDER BY era DESC LIMIT 1),
         next AS (
           INSERT INTO ${at}.era (era, system_identifier)
           SELECT coalesce(last.era, 0) + 1, here.id FROM here LEFT JOIN last ON true
           WHERE last.id IS DISTINCT FROM here.id ON CONFLICT DO NOTHING RETURNING era)
       SELECT coalesce((SELECT era FROM next), (SELECT last.era FROM last JOIN here USING (id))) AS era`,
      [],
    );
    const era = Number(row?.["era"] ?? Number.NaN);
    if (Number.isSafeInteger(era)) return era;
  }
  throw new Error("the log says of no server whose it is: its table `era` cannot be filled");
}

function openAllow(row: Row): OpenAllow {
  return {
    sequence_id: String(row["sequence_id"]),
    hash: String(row["hash"]),
    gate_id: String(row["gate_id"]),
    expires_ms: Number(row["expires_ms"]),
  };
}

/** The size stands in every row; where there is nothing to index, alone. */
function logEnd(rows: readonly Row[]): LogEnd {
  const records = rows
    .filter(({ line }) => line !== null)
    .map(({ sequence_id, seq, line }) => {
      return { sequence_id: String(sequence_id), seq: Number(seq), line: String(line) };
    });
  return { size: Number(rows[0]?.["size"] ?? 0), records };
}

function indexingArguments({ size, leaves, nodes }: Indexing): readonly unknown[] {
  return [
    size,
    leaves.map(({ sequence_id }) => sequence_id),
    leaves.map(({ seq }) => seq),
    leaves.map(({ hash }) => hash),
    nodes.map(({ level }) => level),
    nodes.map(({ index }) => index),
    nodes.map(({ hash }) => hash),
  ];
}

async function nodesAt(
  query: (text: string, values: readonly unknown[]) => Promise<readonly Row[]>,
  at: string,
  places: readonly NodePlace[],
): Promise<readonly (string | undefined)[]> {
  if (places.length === 0) return [];
  const rows = await query(
    `SELECT encode(CASE p.level
         WHEN 0 THEN (SELECT l.hash FROM ${at}.leaf l WHERE l.place = p.place)
         ELSE (SELECT n.hash FROM ${at}.node n WHERE n.level = p.level AND n.place = p.place)
       END, 'hex') AS hash
     FROM unnest($1::integer[], $2::bigint[]) WITH ORDINALITY AS p (level, place, nth) ORDER BY p.nth`,
    [places.map(({ level }) => level), places.map(({ index }) => index)],
  );
  return rows.map(({ hash }) => (typeof hash === "string" ? hash : undefined));
}

/** A place without a line is the tombstone of a sequence, or what one stands for. */
function lineOf(line: unknown, whose: string): string {
  if (typeof line === "string") return line;
  throw new GateError(
    "STORE_UNAVAILABLE",
    `${whose} was retired from the store: what it recorded is in the archives that were made before`,
  );
}

/** What any store refuses, and what PostgreSQL cannot keep besides. */
function mustBeAppendable(append: Append): void {
  mustBeStorable(append);
  const { sequence_id, records, documents = [], counters = [] } = append;
  mustBeKept(sequence_id, ...counters.map(({ counter }) => counter));
  for (const { line, hash, nonce = "", closes = "", opens } of records)
    mustBeKept(line, hash, nonce, closes, opens?.gate_id ?? "");
  for (const { digest, text } of documents) mustBeKept(digest, text);
}

function mustBeKept(...texts: readonly string[]): void {
  mustBeText(...texts);
  if (texts.some((text) => text.includes("\0")))
    throw new TypeError("PostgreSQL keeps no text with a NUL (U+0000) in it");
}
