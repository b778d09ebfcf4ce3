/** Everything that is appended in one turn of the event loop goes to the server as one script, each append with an answer of its own. */
import {
  type Append,
  type AppendResult,
  FORGOTTEN_AFTER_MS,
  type PlacedRecord,
} from "@stepgate/core";
import type { LogKeys } from "./log-keys.ts";
import type { LogMemory } from "./log-memory.ts";
import { openAllowValue } from "./open-allows.ts";
import { APPEND, APPEND_ANSWERS } from "./scripts.ts";
import type { Work } from "./session.ts";

/** What an append came to where the server answered. */
export type Answer = Exclude<AppendResult, "unknown">;

/** The appends as one script. Its answers, in their order, hold once what it wrote is durable. */
export function appendBatch(
  appends: readonly Append[],
  keys: LogKeys,
  memory: LogMemory,
): Work<readonly Answer[]> {
  const { log, open, documents, counters, windows } = keys;
  const own = appends.map(({ sequence_id }) => keys.sequence(sequence_id));
  const args = [`${memory.position}`];
  for (const append of appends) pushAppend(args, append);
  return async ({ run }) => {
    const reply = await run(APPEND, [log, open, documents, counters, windows, ...own], args);
    if (reply === null) throw memory.goneBack();
    return appends.map((append, at) => readAnswer(reply, at, append, memory));
  };
}

function pushAppend(
  args: string[],
  { sequence_id, records, documents = [], counters = [] }: Append,
): void {
  const forgotten = (counters[0]?.at_ms ?? 0) - FORGOTTEN_AFTER_MS;
  args.push(sequence_id, `${records.length}`, `${documents.length}`, `${counters.length}`);
  args.push(`${forgotten}`);
  for (const record of records) pushRecord(args, sequence_id, record);
  for (const { digest, text } of documents) args.push(digest, text);
  for (const { counter, add, max, until_ms } of counters)
    args.push(counter, add, max, `${until_ms}`);
}

function pushRecord(args: string[], sequence_id: string, record: PlacedRecord): void {
  const { seq, hash, line, nonce, opens, closes = "" } = record;
  args.push(`${seq}`, nonce === undefined ? "" : `n${nonce}`, line, hash);
  args.push(opens === undefined ? "" : openAllowValue({ sequence_id, ...opens }), closes);
}

function readAnswer(reply: unknown, at: number, { records }: Append, memory: LogMemory): Answer {
  const answer: unknown = Array.isArray(reply) ? reply[at] : undefined;
  switch (answer) {
    case APPEND_ANSWERS.stands:
      return "won";
    case APPEND_ANSWERS.lost:
      return "lost";
    case APPEND_ANSWERS.replay:
      return "replay";
    case APPEND_ANSWERS.limited:
      return "limited";
  }
  if (typeof answer !== "number" || answer < 0)
    throw new Error("the script answered something else");
  memory.see(answer, records.at(-1)?.line ?? "");
  return "won";
}
