/** Mutants by somebody who writes records: without a key, with another's, with the MAC's secret, or with the gate's own. */
import { type SigningKey, signApproval } from "@stepgate/core";
import {
  bytesOf,
  type Draft,
  hashOf,
  macLine,
  type Mutant,
  parsed,
  type SequenceLines,
  signedLine,
  written,
} from "./mutant.ts";
import { isObject, type Json, type JsonObject } from "./second-json.ts";
import {
  APPROVER_KEY,
  GATE_KEY,
  HMAC_KEY_ID,
  SOUND_KEYS,
  SOUND_SECRETS,
} from "./sound-receipts.ts";
import { testKey } from "./test-keys.ts";

/** Every forgery at every place of one sequence. */
export function* forgedMutants(sequence: SequenceLines): Generator<Mutant> {
  const { log, records } = sequence;
  for (const [at, line] of records.entries()) {
    for (const { name, forged, codes } of rewritten(parsed(line), line)) {
      yield {
        name: `record ${at} ${name}`,
        file: bytesOf([...log, ...records.with(at, forged)]),
        expected: { lines: [log.length + at + 1], codes },
      };
    }
  }
  yield* underOtherKeys(sequence);
  yield* byTheSecret(sequence);
  for (const { name, draft, codes } of appended(sequence)) {
    yield {
      name: `appended: ${name}`,
      file: bytesOf([...log, ...records, signedLine(draft)]),
      expected: { lines: [log.length + records.length + 1], codes },
    };
  }
}

interface Forgery {
  readonly name: string;
  readonly forged: string;
  readonly codes: readonly string[];
}

const THIEF: SigningKey = testKey("thief");

/** One record in its place, written anew. */
function rewritten(record: JsonObject, line: string): readonly Forgery[] {
  const { sig: _sig, batch, key_id: _key, hmac_sig, hmac_key_id, ...body } = record;
  const of = (name: string, forged: string, ...codes: string[]): Forgery => ({
    name,
    forged,
    codes,
  });
  const unsigned: Draft = { ...body, hmac_sig, hmac_key_id };
  const changed = (members: Draft): string => written({ ...record, ...members });
  const fine = [
    of("signed by a key that nobody trusts", signedLine(record, THIEF), "UNKNOWN_KEY"),
    of(
      "signed by a thief in the gate's name",
      signedLine(record, THIEF, GATE_KEY.keyId),
      "BAD_SIGNATURE",
    ),
    of("signed by an approver", signedLine(record, APPROVER_KEY), "KEY_NOT_VALID"),
    of("without its signature", changed({ sig: undefined, batch: undefined }), "WEAK_EVIDENCE"),
    of("without signature and key", written(unsigned), "WEAK_EVIDENCE"),
    of("with an algorithm of its own", changed({ alg: "none" }), "UNKNOWN_MEMBER"),
    of("of an older version", changed({ v: "stepgate.receipt/0" }), "UNKNOWN_VERSION"),
    of("of no version", changed({ v: undefined }), "UNKNOWN_VERSION", "MALFORMED"),
    of("of an unknown kind", signedLine({ ...record, kind: "note" }), "UNKNOWN_VERSION"),
    of("with a null", changed({ ext: null }), "MALFORMED"),
    of("with a fraction", changed({ ts_ms: Number(record["ts_ms"]) + 0.5 }), "MALFORMED"),
    of("with white space", line.replace(",", ", "), "NOT_CANONICAL"),
    of(
      "with a member twice",
      line.replace('"gate_id":', '"gate_id":"gate-0","gate_id":'),
      "DUPLICATE_MEMBER",
    ),
    of("with its members turned about", reversed(record), "NOT_CANONICAL"),
    of("after a byte-order mark", `\u{feff}${line}`, "UNREADABLE"),
    of("emptied", "", "UNREADABLE"),
    of("wrapped in a list", `[${line}]`, "UNREADABLE"),
    of("earlier than it was, signed by nobody", changed({ ts_ms: 1 }), "BAD_SIGNATURE"),
    of("with `ext` from elsewhere", changed({ ext: { note: 1 } }), "BAD_SIGNATURE"),
    of(
      "of a genesis of its own",
      signedLine({ ...record, prev: ZERO }),
      record["seq"] === 0 ? "WRONG_GENESIS" : "CHAIN_BROKEN",
    ),
  ];
  return [...fine, ...ofKind(record, of), ...(isObject(batch) ? ofBatch(record, batch, of) : [])];
}

const ZERO = `sha256:${"0".repeat(64)}`;

type Of = (name: string, forged: string, ...codes: string[]) => Forgery;

/** What the gate's own key, stolen, cannot write into the chain. */
function ofKind(record: JsonObject, of: Of): readonly Forgery[] {
  const signed = (members: Draft): string => signedLine({ ...record, ...members });
  const forgeries: Forgery[] = [];
  if (Number(record["seq"]) > 0) {
    forgeries.push(of("earlier than the record before", signed({ ts_ms: 1 }), "CHAIN_BROKEN"));
    forgeries.push(of("one place further", signed({ seq: Number(record["seq"]) + 1 }), "GAP"));
    forgeries.push(
      of(
        "one place back",
        signed({ seq: Number(record["seq"]) - 1 }),
        "DUPLICATE_SEQ",
        "WRONG_GENESIS",
      ),
    );
    forgeries.push(of("of another log", signed({ log_id: "elsewhere" }), "CHAIN_BROKEN"));
  }
  if (record["kind"] === "decision") {
    forgeries.push(
      of("of another agent", signed({ agent_id: "bot-99" }), "CHAIN_BROKEN"),
      of("of another tenant", signed({ tenant: "other" }), "CHAIN_BROKEN"),
      of("under another policy", signed({ policy_digest: ZERO }), "POLICY_MISMATCH"),
      of(
        "with both a denial's and an ALLOW's members",
        signed({ deny_code: "REPLAY_NONCE", decision: "ALLOW", rule: "nonce" }),
        "MALFORMED",
      ),
      of("resuming nothing", signed({ resumes: ZERO }), "OUTCOME_MISMATCH"),
    );
  }
  if (record["kind"] === "outcome")
    forgeries.push(
      of("of an ALLOW that is not there", signed({ decision_hash: ZERO }), "OUTCOME_MISMATCH"),
    );
  if (record["kind"] === "approval") forgeries.push(...ofApproval(record, of));
  if (record["kind"] === "open") {
    forgeries.push(
      of(
        "under a policy that was never active",
        signed({ policy_digest: ZERO }),
        "POLICY_MISMATCH",
      ),
    );
    forgeries.push(of("for another tenant", signed({ tenant: "other" }), "WRONG_GENESIS"));
    forgeries.push(
      of(
        "that is none",
        signed({
          kind: "context",
          context_digest: `hmac-sha256:${"0".repeat(64)}`,
          policy_id: undefined,
          policy_version: undefined,
          policy_digest: undefined,
        }),
        "CHAIN_BROKEN",
        "WRONG_GENESIS",
      ),
    );
  }
  return forgeries;
}

function ofApproval(record: JsonObject, of: Of): readonly Forgery[] {
  const said = (key: SigningKey, request = String(record["request"])): string => {
    const [log_id, sequence_id] = [String(record["log_id"]), String(record["sequence_id"])];
    const expires_ms = Number(record["expires_ms"]);
    const statement = { log_id, sequence_id, request, verdict: "approve", expires_ms } as const;
    return signedLine({ ...record, ...signApproval(statement, key) });
  };
  const another = { ...record, expires_ms: Number(record["expires_ms"]) + 1 };
  return [
    of("by the gate itself", said(GATE_KEY), "APPROVAL_MISMATCH"),
    of("by nobody who is trusted", said(THIEF), "APPROVAL_MISMATCH", "UNKNOWN_KEY"),
    of("of a denial that is not there", said(APPROVER_KEY, ZERO), "APPROVAL_MISMATCH"),
    of(
      "of the record before it",
      said(APPROVER_KEY, String(record["prev"])),
      "APPROVAL_MISMATCH",
      "NONE",
    ),
    of("for longer than the person said", signedLine(another), "APPROVAL_MISMATCH"),
    of(
      "turned into a rejection",
      signedLine({ ...record, verdict: "reject" }),
      "APPROVAL_MISMATCH",
    ),
  ].filter(({ codes }) => !codes.includes("NONE") || record["prev"] !== record["request"]);
}

/** Games with the place and the path of a record in its batch. */
function ofBatch(record: JsonObject, batch: JsonObject, of: Of): readonly Forgery[] {
  const { size, index } = { size: Number(batch["size"]), index: Number(batch["index"]) };
  const path = Array.isArray(batch["path"]) ? (batch["path"] as readonly Json[]) : [];
  const game = (members: Draft): string =>
    written({ ...record, batch: { ...batch, ...members } as JsonObject });
  const wrong = ["BAD_SIGNATURE", "MALFORMED"];
  return [
    of("at the next index of its batch", game({ index: index + 1 }), ...wrong),
    of("at the index before in its batch", game({ index: index - 1 }), ...wrong),
    of("at an index past its batch", game({ index: size }), "MALFORMED"),
    of("in a batch of one more", game({ size: size + 1 }), ...wrong),
    of("in a batch of one less", game({ size: size - 1 }), ...wrong),
    of("in a batch of one", game({ size: 1, index: 0, path: [] }), "MALFORMED"),
    of("in a batch that is too large", game({ size: 4097 }), "MALFORMED"),
    of("with a shorter path", game({ path: path.slice(1) }), ...wrong),
    of("with a longer path", game({ path: [...path, "0".repeat(64)] }), ...wrong),
    of("with another sibling", game({ path: path.with(0, "0".repeat(64)) }), "BAD_SIGNATURE"),
    of(
      "with capital digits in its path",
      game({ path: path.map((item) => String(item).toUpperCase()) }),
      "MALFORMED",
    ),
    of(
      "with its batch's signature as its own",
      written({ ...record, batch: undefined, sig: batch["sig"] }),
      "BAD_SIGNATURE",
    ),
    of("with both signatures", written({ ...record, sig: batch["sig"] }), "MALFORMED"),
    of("with more in its batch", game({ note: 1 }), "MALFORMED", "UNKNOWN_MEMBER"),
  ];
}

/** The sound lines, read by somebody whose key set says otherwise of the key. */
function* underOtherKeys({ log, records }: SequenceLines): Generator<Mutant> {
  const file = bytesOf([...log, ...records]);
  const first = parsed(log[0] ?? "")["key_id"];
  const seconds = Math.floor(Number(parsed(log[0] ?? "")["ts_ms"]) / 1000);
  const told: readonly (readonly [string, object])[] = [
    ["revoked long before", { revoked_from: 1 }],
    ["revoked since", { revoked_from: seconds + 1_000_000 }],
    ["expired", { exp: seconds }],
    ["not valid yet", { nbf: seconds + 1_000_000 }],
    ["a person's", { roles: ["finance"] }],
  ];
  for (const [name, more] of told) {
    const keys = SOUND_KEYS.keys.map((jwk) =>
      "kid" in jwk && jwk.kid === first ? { ...jwk, ...more } : jwk,
    );
    yield {
      name: `under a key that is ${name}`,
      file,
      expected: { lines: [1], codes: ["KEY_NOT_VALID"] },
      trust: { keys: { keys } },
    };
  }
  yield {
    name: "under a key that is not given",
    file,
    expected: { lines: [1], codes: ["UNKNOWN_KEY"] },
    trust: { keys: { keys: [] } },
  };
}

/** The holder of the MAC's secret writes the whole sequence anew: enough for who asks for MACs, never for a stranger. */
function* byTheSecret({ log, records }: SequenceLines): Generator<Mutant> {
  const secret = SOUND_SECRETS.get(HMAC_KEY_ID);
  if (secret === undefined) throw new TypeError("the secret is missing");
  let prev = String(parsed(records[0])["prev"]);
  const forged = records.slice(0, 3).map((line) => {
    const written = macLine({ ...parsed(line), prev, ext: { forged: 1 } }, HMAC_KEY_ID, secret);
    prev = hashOf(written);
    return written;
  });
  yield {
    name: "rewritten by the secret's holder",
    file: bytesOf([...log, ...forged]),
    expected: { lines: [log.length + 1], codes: ["WEAK_EVIDENCE"] },
  };
  yield {
    name: "rewritten by the secret's holder, for a reader of MACs",
    file: bytesOf(forged),
    expected: { verdict: "OPEN" },
    trust: { require: "hmac" },
  };
  yield {
    name: "rewritten by somebody who guesses the secret",
    file: bytesOf(forged.with(1, macLine(parsed(forged[1]), HMAC_KEY_ID, Buffer.alloc(32)))),
    expected: { lines: [2], codes: ["BAD_MAC"] },
    trust: { require: "hmac" },
  };
}

/** Sound in form and signed by the gate's own key, at the right place: what the chain itself forbids. */
function appended({ records }: SequenceLines): readonly {
  readonly name: string;
  readonly draft: Draft;
  readonly codes: readonly string[];
}[] {
  const all = records.map((line) => ({ record: parsed(line), hash: hashOf(line) }));
  const last = all.at(-1);
  if (last === undefined) return [];
  const sealed = all.some(({ record }) => record["sealed"] === true);
  const bySeal = all.some(({ record }) => record["kind"] === "seal");
  const next = {
    seq: Number(last.record["seq"]) + 1,
    prev: last.hash,
    ts_ms: last.record["ts_ms"],
  };
  const afterSeal = (code: string): string[] => [sealed ? "AFTER_SEAL" : code];
  const again = (kind: string, more: Draft = {}): readonly Draft[] =>
    all
      .filter(({ record }) => record["kind"] === kind)
      .map(({ record }) => ({ ...record, ...more, ...next }));
  const allows = again("decision").filter((draft) => draft["decision"] === "ALLOW");
  const burnt = again("decision").filter(
    ({ deny_code, resumes }) =>
      resumes === undefined &&
      deny_code !== undefined &&
      !["STALE_TIMESTAMP", "REPLAY_NONCE", "INVALID_REQUEST", "POLICY_UNAVAILABLE"].includes(
        String(deny_code),
      ),
  );
  const denied = all.filter(({ record }) => record["decision"] === "DENY").map(({ hash }) => hash);
  return [
    ...again("open").map((draft) => ({ name: "a second `open`", draft, codes: ["CHAIN_BROKEN"] })),
    ...allows
      .filter(({ resumes }) => resumes === undefined)
      .map((draft) => ({
        name: `an ALLOW of ${String(draft["nonce"])} again`,
        draft,
        codes: afterSeal("DUPLICATE_NONCE"),
      })),
    ...allows
      .filter(({ resumes }) => resumes !== undefined)
      .map((draft) => ({
        name: `a resumed ALLOW of ${String(draft["nonce"])} again`,
        draft,
        codes: afterSeal("OUTCOME_MISMATCH"),
      })),
    ...burnt.map((draft) => ({
      name: `a denial of ${String(draft["nonce"])} again`,
      draft,
      codes: ["DUPLICATE_NONCE"],
    })),
    ...again("outcome").map((draft) => ({
      name: "a second outcome",
      draft,
      codes: ["OUTCOME_MISMATCH"],
    })),
    ...denied.flatMap((decision_hash) =>
      again("outcome", { decision_hash })
        .slice(0, 1)
        .map((draft) => ({ name: "an outcome of a denial", draft, codes: ["OUTCOME_MISMATCH"] })),
    ),
    ...(sealed
      ? [...again("context"), ...again("approval"), ...(bySeal ? again("seal") : [])].map(
          (draft) => ({
            name: `${String(draft["kind"])} after the seal`,
            draft,
            codes: ["AFTER_SEAL"],
          }),
        )
      : []),
    ...again("context", { agent_id: "bot-99" }).map((draft) => ({
      name: "context of another agent",
      draft,
      codes: ["CHAIN_BROKEN"],
    })),
  ];
}

/** The record's members in the other order: the same object, another text. */
function reversed(record: JsonObject): string {
  const names = Object.keys(record).toSorted().toReversed();
  return `{${names.map((name) => written({ [name]: record[name] }).slice(1, -1)).join(",")}}`;
}
