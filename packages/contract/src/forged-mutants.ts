/** Mutants by somebody who writes records: without a key, with another's, with the MAC's secret, or with the gate's own. */
import { type SigningKey, signApproval } from "@stepgate/core";
import {
  type Attack,
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
    for (const { attack, name, forged, codes } of rewritten(parsed(line), line)) {
      yield {
        attack,
        name: `record ${at} ${name}`,
        file: bytesOf([...log, ...records.with(at, forged)]),
        expected: { lines: [log.length + at + 1], codes },
      };
    }
  }
  yield* underOtherKeys(sequence);
  yield* byTheSecret(sequence);
  for (const { attack, name, draft, codes } of appended(sequence)) {
    yield {
      attack,
      name: `appended: ${name}`,
      file: bytesOf([...log, ...records, signedLine(draft)]),
      expected: { lines: [log.length + records.length + 1], codes },
    };
  }
}

interface Forgery {
  readonly attack: Attack;
  readonly name: string;
  readonly forged: string;
  readonly codes: readonly string[];
}

const THIEF: SigningKey = testKey("thief");

/** One record in its place, written anew. */
function rewritten(record: JsonObject, line: string): readonly Forgery[] {
  const { sig: _sig, batch, key_id: _key, hmac_sig, hmac_key_id, ...body } = record;
  const unsigned: Draft = { ...body, hmac_sig, hmac_key_id };
  const changed = (members: Draft): string => written({ ...record, ...members });
  const keys = as("key substituted");
  const stripped = as("signature stripped");
  const version = as("algorithm or version changed");
  const form = as("form broken");
  const rewrote = as("rewritten under the gate's key");
  const fine = [
    keys("signed by a key that nobody trusts", signedLine(record, THIEF), "UNKNOWN_KEY"),
    keys(
      "signed by a thief in the gate's name",
      signedLine(record, THIEF, GATE_KEY.keyId),
      "BAD_SIGNATURE",
    ),
    keys("signed by an approver", signedLine(record, APPROVER_KEY), "KEY_NOT_VALID"),
    stripped(
      "without its signature",
      changed({ sig: undefined, batch: undefined }),
      "WEAK_EVIDENCE",
    ),
    stripped("without signature and key", written(unsigned), "WEAK_EVIDENCE"),
    version("with an algorithm of its own", changed({ alg: "none" }), "UNKNOWN_MEMBER"),
    version("of an older version", changed({ v: "stepgate.receipt/0" }), "UNKNOWN_VERSION"),
    version("of no version", changed({ v: undefined }), "UNKNOWN_VERSION"),
    version("of an unknown kind", signedLine({ ...record, kind: "note" }), "UNKNOWN_VERSION"),
    form("with a null", changed({ ext: null }), "MALFORMED"),
    form("with a fraction", changed({ ts_ms: Number(record["ts_ms"]) + 0.5 }), "MALFORMED"),
    form("with white space", line.replace(",", ", "), "NOT_CANONICAL"),
    form(
      "with a member twice",
      line.replace('"gate_id":', '"gate_id":"gate-0","gate_id":'),
      "DUPLICATE_MEMBER",
    ),
    form("with its members turned about", reversed(record), "NOT_CANONICAL"),
    form("after a byte-order mark", `\u{feff}${line}`, "UNREADABLE"),
    form("emptied", "", "UNREADABLE"),
    form("wrapped in a list", `[${line}]`, "UNREADABLE"),
    rewrote("earlier than it was, signed by nobody", changed({ ts_ms: 1 }), "BAD_SIGNATURE"),
    rewrote("with `ext` from elsewhere", changed({ ext: { note: 1 } }), "BAD_SIGNATURE"),
    rewrote(
      "of a genesis of its own",
      signedLine({ ...record, prev: ZERO }),
      record["seq"] === 0 ? "WRONG_GENESIS" : "CHAIN_BROKEN",
    ),
  ];
  return [...fine, ...ofKind(record), ...(isObject(batch) ? ofBatch(record, batch) : [])];
}

const ZERO = `sha256:${"0".repeat(64)}`;

/** Forgeries of one attack, each by its name, its line and the codes that may be found. */
function as(attack: Attack): (name: string, forged: string, ...codes: string[]) => Forgery {
  return (name, forged, ...codes) => ({ attack, name, forged, codes });
}

/** What the gate's own key, stolen, cannot write into the chain. */
function ofKind(record: JsonObject): readonly Forgery[] {
  const signed = (members: Draft): string => signedLine({ ...record, ...members });
  const of = as("rewritten under the gate's key");
  const decided = as("decision or opening forged");
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
      decided("of another agent", signed({ agent_id: "bot-99" }), "CHAIN_BROKEN"),
      decided("of another tenant", signed({ tenant: "other" }), "CHAIN_BROKEN"),
      decided("under another policy", signed({ policy_digest: ZERO }), "POLICY_MISMATCH"),
      decided(
        "with both a denial's and an ALLOW's members",
        signed({ deny_code: "REPLAY_NONCE", decision: "ALLOW", rule: "nonce" }),
        "MALFORMED",
      ),
      decided("resuming nothing", signed({ resumes: ZERO }), "OUTCOME_MISMATCH"),
    );
  }
  if (record["kind"] === "outcome")
    forgeries.push(
      as("outcome forged")(
        "of an ALLOW that is not there",
        signed({ decision_hash: ZERO }),
        "OUTCOME_MISMATCH",
      ),
    );
  if (record["kind"] === "approval") forgeries.push(...ofApproval(record));
  if (record["kind"] === "open") {
    forgeries.push(
      decided(
        "under a policy that was never active",
        signed({ policy_digest: ZERO }),
        "POLICY_MISMATCH",
      ),
    );
    forgeries.push(decided("for another tenant", signed({ tenant: "other" }), "WRONG_GENESIS"));
    forgeries.push(
      decided(
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

function ofApproval(record: JsonObject): readonly Forgery[] {
  const of = as("approval forged");
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
function ofBatch(record: JsonObject, batch: JsonObject): readonly Forgery[] {
  const of = as("batch path or index changed");
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
      attack: "nothing, under other keys",
      name: `under a key that is ${name}`,
      file,
      expected: { lines: [1], codes: ["KEY_NOT_VALID"] },
      trust: { keys: { keys } },
    };
  }
  yield {
    attack: "nothing, under other keys",
    name: "under a key that is not given",
    file,
    expected: { lines: [1], codes: ["UNKNOWN_KEY"] },
    trust: { keys: { keys: [] } },
  };
  if (parsed(records[0])["hmac_sig"] === undefined) return;
  yield {
    attack: "nothing, under other keys",
    name: "under a key that is not given, for a reader of MACs",
    file: bytesOf(records),
    expected: { lines: [1], codes: ["UNKNOWN_KEY"] },
    trust: { keys: { keys: [] }, require: "hmac" },
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
    attack: "rewritten with the MAC's secret",
    name: "rewritten by the secret's holder",
    file: bytesOf([...log, ...forged]),
    expected: { lines: [log.length + 1], codes: ["WEAK_EVIDENCE"] },
  };
  yield {
    attack: "rewritten with the MAC's secret",
    name: "rewritten by the secret's holder, for a reader of MACs",
    file: bytesOf(forged),
    expected: { verdict: "OPEN" },
    trust: { require: "hmac" },
  };
  yield {
    attack: "rewritten with the MAC's secret",
    name: "rewritten by somebody who guesses the secret",
    file: bytesOf(forged.with(1, macLine(parsed(forged[1]), HMAC_KEY_ID, Buffer.alloc(32)))),
    expected: { lines: [2], codes: ["BAD_MAC"] },
    trust: { require: "hmac" },
  };
}

/** Sound in form and signed by the gate's own key, at the right place: what the chain itself forbids. */
function appended({ records }: SequenceLines): readonly Appended[] {
  const all = records.map((line) => ({ record: parsed(line), hash: hashOf(line) }));
  const last = all.at(-1);
  if (last === undefined) return [];
  const sealed = all.some(({ record }) => record["sealed"] === true);
  const next = {
    seq: Number(last.record["seq"]) + 1,
    prev: last.hash,
    ts_ms: last.record["ts_ms"],
  };
  const again = (kind: string, more: Draft = {}): readonly Draft[] =>
    all
      .filter(({ record }) => record["kind"] === kind)
      .map(({ record }) => ({ ...record, ...next, ...more }));
  const denied = all.filter(({ record }) => record["decision"] === "DENY").map(({ hash }) => hash);
  const of = (attack: Attack, name: string, code: string) => (draft: Draft) => ({
    attack: code === "AFTER_SEAL" ? "appended after the seal" : attack,
    name,
    draft,
    codes: [code],
  });
  return [
    ...again("open").map(of("decision or opening forged", "a second `open`", "CHAIN_BROKEN")),
    ...againDecided(again("decision"), sealed),
    ...again("outcome").map(of("outcome forged", "a second outcome", "OUTCOME_MISMATCH")),
    ...denied.flatMap((decision_hash) =>
      again("outcome", { decision_hash })
        .slice(0, 1)
        .map(of("outcome forged", "an outcome of a denial", "OUTCOME_MISMATCH")),
    ),
    ...(sealed
      ? againAfterSeal(
          all.map(({ record }) => record),
          again,
        )
      : []),
    ...again("context", { agent_id: "bot-99" }).map(
      of("decision or opening forged", "context of another agent", "CHAIN_BROKEN"),
    ),
  ];
}

interface Appended {
  readonly attack: Attack;
  readonly name: string;
  readonly draft: Draft;
  readonly codes: readonly string[];
}

/** Decisions once more: an ALLOW, one that was resumed, and denials that burnt their nonce; after the seal a new ALLOW too. */
function againDecided(decisions: readonly Draft[], sealed: boolean): readonly Appended[] {
  const of = (what: string, code: string) => (draft: Draft) => ({
    attack:
      code === "AFTER_SEAL"
        ? ("appended after the seal" as const)
        : ("decision or opening forged" as const),
    name: `${what} of ${String(draft["nonce"])} again`,
    draft,
    codes: [code],
  });
  const allows = decisions.filter((draft) => draft["decision"] === "ALLOW");
  const fresh = allows.slice(0, sealed ? 1 : 0).map((draft) => ({
    ...of("", "AFTER_SEAL")({ ...draft, nonce: "another" }),
    name: "an ALLOW of a new call",
  }));
  const burnt = decisions.filter(
    ({ deny_code, resumes }) =>
      resumes === undefined &&
      deny_code !== undefined &&
      !["STALE_TIMESTAMP", "REPLAY_NONCE", "INVALID_REQUEST", "POLICY_UNAVAILABLE"].includes(
        String(deny_code),
      ),
  );
  return [
    ...fresh,
    ...allows
      .filter(({ resumes }) => resumes === undefined)
      .map(of("an ALLOW", sealed ? "AFTER_SEAL" : "DUPLICATE_NONCE")),
    ...allows
      .filter(({ resumes }) => resumes !== undefined)
      .map(of("a resumed ALLOW", sealed ? "AFTER_SEAL" : "OUTCOME_MISMATCH")),
    ...burnt.map(of("a denial", "DUPLICATE_NONCE")),
  ];
}

/** What may never follow a seal; a second `seal` only where the first was a person's. */
function againAfterSeal(
  all: readonly JsonObject[],
  again: (kind: string) => readonly Draft[],
): readonly Appended[] {
  const bySeal = all.some(({ kind }) => kind === "seal");
  return [...again("context"), ...again("approval"), ...(bySeal ? again("seal") : [])].map(
    (draft) => ({
      attack: "appended after the seal",
      name: `${String(draft["kind"])} after the seal`,
      draft,
      codes: ["AFTER_SEAL"],
    }),
  );
}

/** The record's members in the other order: the same object, another text. */
function reversed(record: JsonObject): string {
  const names = Object.keys(record).toSorted().toReversed();
  return `{${names.map((name) => written({ [name]: record[name] }).slice(1, -1)).join(",")}}`;
}
