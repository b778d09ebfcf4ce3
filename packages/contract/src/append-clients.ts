/** Clients that read and append as a seed has it, on few sequences, and note what they asked and were told, and when. */
import type { Store } from "@stepgate/core";
import { checkLinearizable, type Operation } from "./linearizable.ts";
import { type RegisterAnswer, type RegisterCall, registerModel } from "./register-model.ts";
import { sampleRecord } from "./sample-record.ts";
import { seededRandom } from "./seeded-random.ts";

/** One client's work. */
export interface AppendClient {
  readonly store: Store;
  /** Begins the ids of its records; no two clients of a history have the same. */
  readonly name: string;
  readonly sequences: readonly string[];
  readonly calls: number;
  readonly seed: number;
}

/** One call on one of the sequences. Plain data, so that it can come from another process. */
export interface NotedCall extends Operation<RegisterCall, RegisterAnswer> {
  readonly sequence_id: string;
}

/** Does the work of one client, one call after the other, and resolves to its notes. */
export async function appendClient(client: AppendClient): Promise<readonly NotedCall[]> {
  const random = seededRandom(client.seed);
  const pick = (count: number): number => Math.floor(random() * count);
  /** How long the client takes each sequence to be; another may have come first. */
  const known = client.sequences.map(() => 0);
  const notes: NotedCall[] = [];
  let last: { readonly at: number; readonly call: RegisterCall } | undefined;
  for (let nth = 0; nth < client.calls; nth++) {
    const repeats = last !== undefined && pick(8) === 0;
    const at = repeats && last !== undefined ? last.at : pick(client.sequences.length);
    const nonce = pick(3) === 0 ? { nonce: `n${pick(20)}` } : {};
    const appends = {
      call: "append",
      seq: known[at] ?? 0,
      id: `${client.name}-${nth}`,
      ...nonce,
    } as const;
    const fresh: RegisterCall = pick(3) === 0 ? { call: "read" } : appends;
    const call = repeats && last !== undefined ? last.call : fresh;
    const note = await noted(client.store, client.sequences[at] ?? "", call);
    notes.push(note);
    if (call.call === "append") last = { at, call };
    if (call.call === "append" && note.output === "won" && !repeats) known[at] = call.seq + 1;
    if (note.output === "lost" && !repeats) known[at] = (known[at] ?? 0) + 1;
    if (typeof note.output === "object") known[at] = note.output.length;
  }
  return notes;
}

/** What is wrong with the histories of all sequences in `notes`, in words; each is judged by itself. */
export function judgeAppends(notes: readonly NotedCall[]): readonly string[] {
  const bySequence = Map.groupBy(notes, ({ sequence_id }) => sequence_id);
  return [...bySequence].flatMap(([sequenceId, history]) => {
    const verdict = checkLinearizable(history, registerModel);
    if (verdict.linearizable) return [];
    const { input, output } = verdict.stuck;
    return [
      `${sequenceId}: not linearizable; no order of its ${history.length} calls explains that ${JSON.stringify(input)} was answered ${JSON.stringify(output)}`,
    ];
  });
}

async function noted(store: Store, sequence_id: string, call: RegisterCall): Promise<NotedCall> {
  const called = process.hrtime.bigint();
  const output = await perform(store, sequence_id, call);
  return { sequence_id, input: call, output, called, returned: process.hrtime.bigint() };
}

async function perform(
  store: Store,
  sequence_id: string,
  call: RegisterCall,
): Promise<RegisterAnswer | undefined> {
  if (call.call === "read") return (await store.read(sequence_id, 0)).map(idOf);
  const { seq, id, nonce } = call;
  const record = sampleRecord(sequence_id, seq, id, nonce === undefined ? {} : { nonce });
  const result = await store.append({ sequence_id, records: [record] });
  if (result === "limited") throw new Error("an append without counters was limited");
  return result === "unknown" ? undefined : result;
}

function idOf(line: string): string {
  const record: unknown = JSON.parse(line);
  const content =
    typeof record === "object" && record !== null && "content" in record && record.content;
  if (typeof content === "string") return content;
  throw new TypeError(`not a record of this client: ${line}`);
}
