/**
 * Receipts by the million, as gates leave them behind: sequences of 25 records, many of them at a time, batch-signed. Real
 * signatures and real chains, but no gate: one would decide for hours.
 */
import { hash, randomBytes, sign } from "node:crypto";
import type { SigningKey } from "@stepgate/core";

/** What is to be made. */
export interface ManyReceipts {
  readonly records: number;
  /** How many sequences take turns; each that ends makes room for a new one. */
  readonly atOnce: number;
  readonly key: SigningKey;
}

/** Records of a sequence: its `open`, and twelve calls with their outcomes. */
const SEQUENCE_LENGTH = 25;
/** Records under one signature, of as many sequences. */
const BATCH = 64;
const LOG_ID = "many";
const POLICY = {
  policy_digest: `sha256:${hash("sha256", "many", "hex")}`,
  policy_id: "many",
  policy_version: "1",
};

/** The lines, batch by batch, each with its line feed. `atOnce` is at least 64, so that no batch has two of a sequence. */
export function* manyReceipts({ records, atOnce, key }: ManyReceipts): Generator<string> {
  let begun = 0;
  const begin = (): Writer => createWriter(`run-${begun++}`, key.keyId);
  const writers = Array.from({ length: atOnce }, begin);
  // Not all of them begin and end together.
  for (const [index, writer] of writers.entries()) writer.skipTo(index % SEQUENCE_LENGTH);
  for (let made = 0; made < records;) {
    const batch: Draft[] = [];
    for (; batch.length < BATCH && made < records; made++) {
      const turn = made % atOnce;
      const writer = writers[turn] ?? begin();
      batch.push(writer.next(made));
      if (writer.ended()) writers[turn] = begin();
    }
    yield signed(batch, key);
  }
}

/** A record without its signature: the members before `batch` in canonical order, and those after it. */
interface Draft {
  readonly before: string;
  readonly after: string;
  readonly hash: Buffer;
}

interface Writer {
  next(made: number): Draft;
  ended(): boolean;
  /** Makes the sequence shorter by so many records. */
  skipTo(place: number): void;
}

function createWriter(sequence_id: string, key_id: string): Writer {
  let seq = 0;
  let end = SEQUENCE_LENGTH;
  let prev = `sha256:${hash("sha256", `stepgate.genesis/1\n${LOG_ID}\n\n${sequence_id}`, "hex")}`;
  let allow = "";

  function draft(before: object, after: object): Draft {
    // Members stand in canonical order and hold ASCII alone, so that this is canonical JSON.
    const texts = [before, after].map((members) => JSON.stringify(members).slice(1, -1));
    const [first = "", second = ""] = texts;
    const body = `{${first}${first === "" ? "" : ","}${second}}`;
    return { before: first, after: second, hash: sha256(`\0stepgate.receipt/1\n${body}`) };
  }

  function members(made: number): readonly [before: object, after: object] {
    const v = "stepgate.receipt/1";
    const ts_ms = 1_800_000_000_000 + made;
    const place = { prev, seq, sequence_id };
    const common = { gate_id: "gate-1", key_id };
    if (seq === 0)
      return [
        {},
        { ...common, kind: "open", log_id: LOG_ID, mode: "enforce", ...POLICY, ...place, ts_ms, v },
      ];
    if (seq % 2 === 0)
      return [
        {},
        {
          decision_hash: allow,
          duration_ms: 7,
          ...common,
          kind: "outcome",
          log_id: LOG_ID,
          ...place,
          status: "succeeded",
          ts_ms,
          v,
        },
      ];
    return [
      {
        action_type: "READ",
        args_digest: `hmac-sha256:${hash("sha256", `${made}`, "hex")}`,
        attempt: randomBytes(16).toString("base64url"),
      },
      {
        decision: "ALLOW",
        function: "read",
        ...common,
        kind: "decision",
        log_id: LOG_ID,
        mode: "enforce",
        nonce: randomBytes(16).toString("base64url"),
        permit_expires_ms: ts_ms + 60_000,
        ...POLICY,
        prev,
        request_ts_ms: ts_ms,
        seq,
        sequence_id,
        tool: "read_order",
        ts_ms,
        v,
      },
    ];
  }

  return {
    next(made) {
      const made_ = draft(...members(made));
      prev = `sha256:${made_.hash.toString("hex")}`;
      if (seq % 2 === 1) allow = prev;
      seq++;
      return made_;
    },
    ended: () => seq >= end,
    skipTo(place) {
      end = Math.max(1, SEQUENCE_LENGTH - place);
    },
  };
}

/** The lines of a batch: one signature over the RFC 6962 root, and each record's own path up to it. */
function signed(drafts: readonly Draft[], key: SigningKey): string {
  const levels: (readonly Buffer[])[] = [drafts.map((draft) => draft.hash)];
  for (let below = levels[0] ?? []; below.length > 1; below = levels.at(-1) ?? [])
    levels.push(pairs(below));
  const root = levels.at(-1)?.[0] ?? Buffer.alloc(0);
  const size = drafts.length;
  const input = Buffer.from(`stepgate.batch/1\n${LOG_ID}\n${size}\n${root.toString("hex")}`);
  const sig = `ed25519=${sign(null, input, key.privateKey).toString("hex")}`;
  const hex = levels.map((level) => level.map((node) => node.toString("hex")));
  return drafts
    .map(({ before, after }, index) => {
      const path = hex.flatMap((level, height) => level[(index >> height) ^ 1] ?? []);
      const batch = JSON.stringify({ index, path, sig, size });
      return `{${before}${before === "" ? "" : ","}"batch":${batch},${after}}\n`;
    })
    .join("");
}

function pairs(below: readonly Buffer[]): readonly Buffer[] {
  const level: Buffer[] = [];
  for (let i = 0; i < below.length; i += 2) {
    const [left = NONE, right] = [below[i], below[i + 1]];
    level.push(right === undefined ? left : sha256(Buffer.concat([NODE, left, right])));
  }
  return level;
}

const NONE = Buffer.alloc(0);
const NODE = Buffer.of(1);

function sha256(data: string | Uint8Array): Buffer {
  return hash("sha256", data, "buffer");
}
