/** Makes drafts into records: their places in the chain, their hashes, their authenticators and their lines. */
import { hmacHex, type SecretKey } from "#platform";
import { createAllowWriter } from "./allow-text.ts";
import type { RecordSigner, Unsigned } from "./batch-signer.ts";
import type { Deadline } from "./deadline.ts";
import { genesisHash, sha256 } from "./digest.ts";
import { bodyText, inputOf, lineOf, type Receipt, RECEIPT_VERSION } from "./receipt.ts";
import type { Head } from "./sequence-state.ts";

/** What is added to a draft. */
type Added =
  | "v"
  | "log_id"
  | "sequence_id"
  | "seq"
  | "prev"
  | "ts_ms"
  | "gate_id"
  | "key_id"
  | "sig"
  | "batch"
  | "hmac_key_id"
  | "hmac_sig";
type DraftOf<R> = R extends Receipt ? Omit<R, Added> : never;
/** A record before it has a place. */
export type Draft = DraftOf<Receipt>;

/** A record as it is to stand. */
export interface WrittenRecord {
  readonly receipt: Receipt;
  readonly hash: string;
  readonly line: string;
}

/** What records are written with. */
export interface RecordWriterParts {
  readonly logId: string;
  readonly gateId: string;
  /** The signer of the next records, which may be another than that of the last. @throws GateError STORE_UNAVAILABLE. */
  readonly signer: () => RecordSigner | undefined;
  readonly hmacKey?: { readonly id: string; readonly key: SecretKey };
}

/** Writes the records of one gate. */
export interface RecordWriter {
  /**
   * Records for the places after `head`; without one, from the chain's beginning on. Nobody may see them before they won
   * their places. @throws GateError STORE_UNAVAILABLE where they cannot be signed, or not before the deadline.
   */
  write(
    place: Place,
    drafts: readonly Draft[],
    deadline: Deadline,
  ): Promise<readonly WrittenRecord[]>;
}

/** Where drafts are to stand. */
interface Place {
  readonly sequence_id: string;
  readonly head: Head | undefined;
  readonly ts_ms: number;
}

/** See the top of this file. */
export function createRecordWriter(parts: RecordWriterParts): RecordWriter {
  const { logId, gateId, hmacKey } = parts;
  const allowText = createAllowWriter();

  return {
    write(place, drafts, deadline) {
      const signer = parts.signer();
      const linked = linkAll(place, drafts, signer);
      if (signer === undefined) return Promise.resolve(linked.map(finished));
      return sign(signer, linked, deadline).then(() => linked.map(finished));
    },
  };

  function linkAll(
    { sequence_id, head, ts_ms }: Place,
    drafts: readonly Draft[],
    signer: RecordSigner | undefined,
  ): readonly Linked[] {
    let seq = head === undefined ? 0 : head.seq + 1;
    let prev = head?.hash ?? genesisOf(sequence_id, drafts[0]);
    return drafts.map((draft) => {
      const body = bodyOf(draft, signer, sequence_id, seq, prev, ts_ms);
      const { preimage, places } = body.kind === "decision" ? allowText(body) : bodyText(body);
      prev = sha256(preimage);
      seq++;
      return { body, preimage, places, hash: prev, batchText: undefined };
    });
  }

  function genesisOf(sequence_id: string, first: Draft | undefined): string {
    const tenant = first?.kind === "open" ? first.tenant : undefined;
    return genesisHash({ log_id: logId, tenant, sequence_id });
  }

  function bodyOf(
    draft: Draft,
    signer: RecordSigner | undefined,
    sequence_id: string,
    seq: number,
    prev: string,
    ts_ms: number,
  ): Unfinished {
    const body: Unfinished = {
      ...draft,
      v: RECEIPT_VERSION,
      log_id: logId,
      gate_id: gateId,
      sequence_id,
      seq,
      prev,
      ts_ms,
    };
    if (signer !== undefined) body.key_id = signer.keyId;
    if (hmacKey !== undefined) body.hmac_key_id = hmacKey.id;
    return body;
  }

  /** Finishes a body that nobody else has seen: a copy of it would be as large as all of it. */
  function finished(linked: Linked): WrittenRecord {
    const { body, hash, batchText } = linked;
    if (hmacKey !== undefined) body.hmac_sig = `sha256=${hmacHex(hmacKey.key, inputOf(linked))}`;
    const line = lineOf(linked, body, batchText);
    // The line has it now. What lies in the old space already must not hold on to it.
    linked.preimage = "";
    linked.batchText = undefined;
    return { receipt: Object.freeze(body), hash, line };
  }
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Unfinished = Writable<Receipt>;

/** A record that has its place, and no authenticators yet. */
interface Linked extends Unsigned {
  readonly body: Unfinished;
  preimage: string;
}

/** A batch holds at most one record of a sequence, but for an `open` and the decision appended with it. */
function sign(signer: RecordSigner, linked: readonly Linked[], deadline: Deadline): Promise<void> {
  if (linked.length === 1) return signer.sign(linked, deadline);
  const kinds = linked.map(({ body }) => body.kind).join();
  return kinds === "open,decision"
    ? signer.sign(linked, deadline)
    : signApart(signer, linked, deadline);
}

async function signApart(
  signer: RecordSigner,
  linked: readonly Linked[],
  deadline: Deadline,
): Promise<void> {
  for (const one of linked) await signer.sign([one], deadline);
}
