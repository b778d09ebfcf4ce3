/** Appends on their way to the server: many in one statement, and each alone where a fault of one would undo all. */
import type { Append, AppendResult } from "@stepgate/core";
import { appendCalls } from "./append-arguments.ts";
import { type Connections, sqlState } from "./connections.ts";
import { FULL, group, type Group } from "./group.ts";
import { insertCalls } from "./insert-call.ts";
import type { Row } from "./pool-clients.ts";

/** Where appends go. */
export interface LogAddress {
  /** The schema's name, quoted. */
  readonly at: string;
  /** Which server's transactions `arrival` counts. */
  readonly era: number;
}

/** Two batches under way: while one is being synced, the server works on the other. */
const LANES = 2;
const MOST_APPENDS = 256;

/** Appends to one log, in batches; whatever comes in between an append and its answer, it rejects. */
export function groupAppend(
  database: Connections,
  log: LogAddress,
  timeoutMs: number,
): Group<Append, AppendResult> {
  return group<Append, AppendResult>({
    run: appendBatches(database, log),
    timeoutMs,
    lanes: LANES,
    sizeOf: (append) => Math.max(FULL / MOST_APPENDS, charactersOf(append)),
    keyOf: ({ sequence_id }) => sequence_id,
    // Who waits for a place that another record was just given has lost, and decides anew the sooner.
    foregone: (winner, answer, waiting) =>
      answer === "won" && collide(winner.records, waiting.records) ? "lost" : undefined,
  });
}

function charactersOf({ records, documents = [] }: Append): number {
  let characters = 0;
  for (const { line } of records) characters += line.length;
  for (const { text } of documents) characters += text.length;
  return characters;
}

/** True where the two have different records for one place. */
function collide(standing: Append["records"], asked: Append["records"]): boolean {
  const lines = new Map(standing.map(({ seq, line }) => [seq, line]));
  return asked.some(({ seq, line }) => (lines.get(seq) ?? line) !== line);
}

/** SQLSTATE classes of faults that lie in what was sent, not in the server: data, sizes, constraints; and deadlocks. */
const FAULTS_OF_ONE = /^(?:21|22|23|40|54)/;

/** Appends batches of appends to different sequences; the answers come in their order. */
function appendBatches(database: Connections, { at, era }: LogAddress) {
  const insertOf = insertCalls(at, era);
  const callOf = appendCalls(at, era);

  async function run(batch: readonly Append[]): Promise<readonly AppendResult[]> {
    const insert = insertOf(batch);
    if (insert === undefined) return judged(batch);
    let rows: readonly Row[];
    try {
      rows = await database.query(insert.text, insert.values);
    } catch (error) {
      if (isFaultOfOne(error)) return judged(batch);
      throw error;
    }
    const won = new Set(rows.map(({ ordinal }) => insert.rows[Number(ordinal) - 1]?.of));
    const left = batch.filter((_, nth) => !won.has(nth + 1));
    if (left.length === 0) return batch.map(() => "won");
    // What was inserted stands, whatever becomes of the question why the rest was not.
    const told = await judged(left).catch(() => []);
    const answers = new Map(left.map((append, nth) => [append, told[nth] ?? "unknown"]));
    return batch.map((append) => answers.get(append) ?? "won");
  }

  async function judged(batch: readonly Append[]): Promise<readonly AppendResult[]> {
    const { text, values } = callOf(batch);
    try {
      const [row] = await database.query(text, values);
      return answersOf(row?.["results"]);
    } catch (error) {
      // The statement was undone whole: nobody's neighbour need suffer for it.
      if (batch.length === 1 || !isFaultOfOne(error)) throw error;
      const alone = batch.map((append) => judged([append]).catch(() => ["unknown"] as const));
      return (await Promise.all(alone)).flat();
    }
  }

  return run;
}

function isFaultOfOne(error: unknown): boolean {
  return FAULTS_OF_ONE.test(sqlState(error) ?? "");
}

function answersOf(results: unknown): readonly AppendResult[] {
  if (!Array.isArray(results)) return [];
  return results.map((result) => ANSWERS.find((answer) => answer === result) ?? "unknown");
}

const ANSWERS = ["won", "lost", "replay", "limited"] as const;
