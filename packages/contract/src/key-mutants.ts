/**
 * Mutants of a log whose policies and keys changed: forged and missing records of `@log`, keys outside of their time, and what
 * the holder of a key does behind a checkpoint.
 */
import { sign } from "node:crypto";
import type { PublicJwk, SigningKey } from "@stepgate/core";
import {
  type Attack,
  bytesOf,
  type Draft,
  type Expected,
  hashOf,
  type Mutant,
  parsed,
  signedLine,
} from "./mutant.ts";
import { NEXT_KEY, type RotatedLog } from "./rotated-log.ts";
import type { SecondTrust } from "./second-verifier.ts";
import { checkpointOf } from "./signed-notes.ts";
import { GATE_KEY } from "./sound-receipts.ts";
import { testKey } from "./test-keys.ts";

/** Every mutant of the log; all are read under its own keys, and against its checkpoints where it says so. */
export function* keyMutants(log: RotatedLog, other: RotatedLog): Generator<Mutant> {
  yield* handovers(log);
  yield* policies(log);
  yield* outsideOfTheirTime(log);
  yield* behindCheckpoints(log, other);
}

const THIEF: SigningKey = testKey("thief");
const ZERO = `sha256:${"0".repeat(64)}`;

/** A mutant of whole lines. */
function of(
  { keys }: RotatedLog,
  attack: Attack,
  name: string,
  lines: readonly string[],
  expected: Expected,
  trust: Partial<SecondTrust> = {},
): Mutant {
  return { attack, name, file: bytesOf(lines), expected, trust: { keys, ...trust } };
}

function* handovers(log: RotatedLog): Generator<Mutant> {
  const at = log.lines.findIndex((line) => parsed(line)["kind"] === "key");
  const record = parsed(log.lines[at]);
  const jwk = NEXT_KEY.publicJwk;
  const forged = (name: string, line: string, code: string): Mutant =>
    of(log, "key record forged", name, log.lines.slice(0, at + 2).with(at, line), {
      lines: [at + 1],
      codes: [code],
    });
  const anew = (members: Draft, key = GATE_KEY): string =>
    signedLine({ ...record, ...members }, key);
  const proof = (key: SigningKey, logId = String(record["log_id"]), kid = jwk.kid): Draft => ({
    new_key_sig: proofBy(key, logId, kid),
  });
  yield forged("a handover that the new key did not prove", anew(proof(THIEF)), "BAD_SIGNATURE");
  yield forged(
    "a handover that was proven for another log",
    anew(proof(NEXT_KEY, "elsewhere")),
    "BAD_SIGNATURE",
  );
  yield forged(
    "a handover to a thief, proven by another key",
    anew({ new_key: bare(THIEF), ...proof(NEXT_KEY, undefined, THIEF.keyId) }),
    "BAD_SIGNATURE",
  );
  yield forged("a handover by a thief", anew({}, THIEF), "UNKNOWN_KEY");
  yield forged(
    "a handover of a key to itself",
    anew({ new_key: bare(GATE_KEY), ...proof(GATE_KEY, undefined, GATE_KEY.keyId) }),
    "MALFORMED",
  );
  yield forged(
    "a handover to a key under another's name",
    anew({ new_key: { ...bare(NEXT_KEY), kid: THIEF.keyId } }),
    "MALFORMED",
  );
  yield forged(
    "a handover to a key with a validity of its own",
    anew({ new_key: { ...bare(NEXT_KEY), exp: 1_900_000_000 } }),
    "MALFORMED",
  );
  yield forged(
    "a handover to a key that is none",
    anew({ new_key: { ...bare(NEXT_KEY), x: "A" } }),
    "MALFORMED",
  );
  yield forged("a handover without its proof", anew({ new_key_sig: undefined }), "MALFORMED");
  yield forged(
    "a handover in a sequence",
    anew({ sequence_id: "between", seq: 4, prev: hashOf(log.lines[at - 1]) }),
    "MALFORMED",
  );
  yield forged(
    "a handover changed by nobody who signs",
    log.lines[at]?.replace('"x":"', '"x":"A').replace(/(?<="x":"A[^"]+)[^"](?=")/, "") ?? "",
    "MALFORMED",
  );
  yield of(log, "key record forged", "the handover left out", log.lines.toSpliced(at, 1), {
    lines: [log.lines.findIndex((line, i) => i > at && parsed(line)["sequence_id"] === "@log")],
    codes: ["GAP"],
  });
}

function* policies(log: RotatedLog): Generator<Mutant> {
  const { lines } = log;
  const forged = (name: string, file: readonly string[], line: number, code: string): Mutant =>
    of(log, "policy record forged", name, file, { lines: [line], codes: [code] });
  const ofKind = (status: string, nth: number): number =>
    lines.flatMap((line, at) =>
      parsed(line)["status"] === status && parsed(line)["kind"] === "policy" ? [at] : [],
    )[nth] ?? -1;
  const [first, last] = [ofKind("active", 0), ofKind("active", 2)];
  const withdrawn = ofKind("withdrawn", 0);
  const open = lines.findIndex((line) => parsed(line)["sequence_id"] === "last");
  yield forged(
    "the last activation left out: a sequence under a policy that was withdrawn before",
    lines.toSpliced(last, 1),
    open,
    "POLICY_MISMATCH",
  );
  yield forged("the first activation left out", lines.toSpliced(first, 1), 1, "POLICY_MISMATCH");
  const other = signedLine({ ...parsed(lines[last]), policy_digest: ZERO }, NEXT_KEY);
  yield forged(
    "the activation of another policy in its place",
    lines.with(last, other),
    open + 1,
    "POLICY_MISMATCH",
  );
  const late = signedLine(
    { ...parsed(lines[last]), ts_ms: Number(parsed(lines[open])["ts_ms"]) + 1 },
    NEXT_KEY,
  );
  yield forged(
    "the activation dated after the opening",
    lines.with(last, late),
    open + 1,
    "POLICY_MISMATCH",
  );
  const status = signedLine({ ...parsed(lines[withdrawn]), status: "succeeded" }, NEXT_KEY);
  yield forged(
    "a policy of no such status",
    lines.with(withdrawn, status),
    withdrawn + 1,
    "MALFORMED",
  );
  const inside = signedLine(
    {
      ...parsed(lines[last]),
      sequence_id: "after",
      seq: 4,
      prev: hashOf(
        lines.find((line) => parsed(line)["sequence_id"] === "after" && parsed(line)["seq"] === 3),
      ),
    },
    NEXT_KEY,
  );
  yield forged("a policy in a sequence", lines.with(last, inside), last + 1, "MALFORMED");
  const denial = parsed(lines.at(-1));
  const stray = signedLine(
    { ...denial, sequence_id: "@log", seq: 5, prev: hashOf(lines[last]) },
    NEXT_KEY,
  );
  yield forged("a decision in `@log`", [...lines, stray], lines.length + 1, "MALFORMED");
}

function* outsideOfTheirTime(log: RotatedLog): Generator<Mutant> {
  const { lines, rotatedAt, keys } = log;
  const by = (key: SigningKey): readonly number[] =>
    lines.flatMap((line, at) => (parsed(line)["key_id"] === key.keyId ? [at + 1] : []));
  const [own, next] = [by(GATE_KEY), by(NEXT_KEY)];
  const findings = (numbers: readonly number[], code: string): Expected => ({
    findings: numbers.map((line) => `${line} ${code}`),
  });
  const told = (key: SigningKey, more: Partial<PublicJwk>): SecondTrust["keys"] => ({
    keys: keys.keys.map((jwk) => (jwk.kid === key.keyId ? { ...key.publicJwk, ...more } : jwk)),
  });
  const kept = (since?: number): NonNullable<SecondTrust["checkpoints"]> =>
    log.checkpoints.map(({ note }) =>
      since === undefined ? { note } : { note, kept_since: since },
    );
  const unknown = { keys: keys.keys.slice(0, 1) };
  yield of(
    log,
    "key substituted",
    "nothing, but the next key is only in the log and in no key set",
    lines,
    findings(next, "UNKNOWN_KEY"),
    { keys: unknown },
  );
  yield of(
    log,
    "rewritten under a rotated key",
    "a record dated after its key's end",
    [...lines, appended(lines, GATE_KEY)],
    findings([lines.length + 1], "KEY_NOT_VALID"),
  );
  yield of(
    log,
    "nothing, under other keys",
    "nothing, but the key ended with its last record",
    lines,
    findings(
      own.filter((line) => Number(parsed(lines[line - 1])["ts_ms"]) >= (rotatedAt - 1) * 1000),
      "KEY_NOT_VALID",
    ),
    { keys: told(GATE_KEY, { exp: rotatedAt - 1 }) },
  );
  yield of(
    log,
    "nothing, under other keys",
    "nothing, but the next key was not valid from its first record on",
    lines,
    findings(
      next.filter((line) => Number(parsed(lines[line - 1])["ts_ms"]) < (rotatedAt + 1) * 1000),
      "KEY_NOT_VALID",
    ),
    { keys: told(NEXT_KEY, { nbf: rotatedAt + 1 }) },
  );
  const revoked = { keys: told(GATE_KEY, { revoked_from: rotatedAt + 100 }) };
  yield of(
    log,
    "nothing, under other keys",
    "nothing, but the key is revoked since, and nothing older is kept",
    lines,
    findings(own, "KEY_NOT_VALID"),
    revoked,
  );
  yield of(
    log,
    "nothing, under other keys",
    "nothing, but the key is revoked since, and nobody says since when the checkpoints are kept",
    lines,
    findings(own, "KEY_NOT_VALID"),
    { ...revoked, checkpoints: kept() },
  );
  yield of(
    log,
    "nothing, under other keys",
    "nothing, but the key is revoked since the second in which the checkpoints were kept",
    lines,
    findings(own, "KEY_NOT_VALID"),
    { ...revoked, checkpoints: kept(rotatedAt + 100) },
  );
  yield of(
    log,
    "nothing, under other keys",
    "nothing, but the key is revoked since, and the checkpoints are older",
    lines,
    { verdict: "OPEN,OPEN,OPEN,OPEN" },
    { ...revoked, checkpoints: kept(rotatedAt + 99) },
  );
  const early = kept(rotatedAt + 99).slice(0, 1);
  yield of(
    log,
    "nothing, under other keys",
    "nothing, but the key is revoked since, and only the earlier checkpoint is older",
    lines,
    findings(
      own.filter((line) => line > log.checkpoints[0].size),
      "KEY_NOT_VALID",
    ),
    { ...revoked, checkpoints: early },
  );
  yield of(
    log,
    "rewritten under a revoked key",
    "a record under the revoked key after the older checkpoint",
    [...lines, appended(lines, GATE_KEY)],
    findings([lines.length + 1], "KEY_NOT_VALID"),
    { ...revoked, checkpoints: kept(rotatedAt + 99) },
  );
}

function* behindCheckpoints(log: RotatedLog, other: RotatedLog): Generator<Mutant> {
  const { lines, checkpoints } = log;
  const [early, late] = checkpoints;
  const kept = { checkpoints: checkpoints.map(({ note }) => ({ note })) };
  const against = (
    attack: Attack,
    name: string,
    file: readonly string[],
    ...findings: readonly string[]
  ): Mutant => of(log, attack, name, file, { findings }, kept);
  const without = (id: string): readonly string[] =>
    lines.filter((line) => parsed(line)["sequence_id"] !== id);
  const both = [`${early.size} FORK`, `${late.size} FORK`];
  const [forkLate = ""] = both.slice(1);
  yield of(log, "sequence deleted", "a sequence deleted, without a checkpoint", without("before"), {
    verdict: "OPEN,OPEN,OPEN",
  });
  yield against(
    "sequence deleted",
    "a sequence deleted that both checkpoints have",
    without("before"),
    ...both,
  );
  yield against(
    "sequence deleted",
    "a sequence deleted that the later checkpoint has",
    without("between"),
    forkLate,
  );
  yield of(
    log,
    "sequence deleted",
    "a sequence deleted that no checkpoint has",
    without("last"),
    { verdict: "OPEN,OPEN,OPEN" },
    kept,
  );
  yield against(
    "tail cut off",
    "cut off before the later checkpoint's end",
    lines.slice(0, late.size - 1),
    `${late.size - 1} TRUNCATED`,
  );
  yield against(
    "tail cut off",
    "cut off before the earlier checkpoint's end",
    lines.slice(0, 3),
    "3 TRUNCATED",
    "3 TRUNCATED",
  );
  yield against(
    "tail cut off",
    "the last record of a sequence left out",
    lines.toSpliced(early.size - 1, 1),
    ...both,
  );
  yield against(
    "records swapped",
    "two records of different chains swapped",
    lines
      .with(early.size, lines[early.size + 1] ?? "")
      .with(early.size + 1, lines[early.size] ?? ""),
    forkLate,
  );
  const own = lines.findLastIndex((line) => parsed(line)["sequence_id"] === "after");
  yield against(
    "rewritten under the gate's key",
    "a sequence's last record written anew",
    lines.with(own, signedLine({ ...parsed(lines[own]), ext: { note: 1 } }, NEXT_KEY)),
    forkLate,
  );
  yield against(
    "signature stripped",
    "a signature by itself in place of a batch's: the same record",
    lines.with(1, signedLine(parsed(lines[1]))).with(2, signedLine(parsed(lines[2]))),
  );
  yield against(
    "form broken",
    "a line that is no record among those of the checkpoint",
    lines.with(early.size - 1, ""),
    `${early.size} UNREADABLE`,
    ...both,
  );
  const foreign = other.lines.filter((line) => parsed(line)["sequence_id"] === "before");
  yield against(
    "splice between logs",
    "a sequence of another log in place of this one's",
    [...without("before"), ...foreign],
    ...[...foreign.map((_, at) => `${without("before").length + at + 1} FORK`), ...both].toSorted(
      (a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10),
    ),
  );
  const twin = checkpointOf([...lines.slice(0, late.size - 1), lines[0] ?? ""], NEXT_KEY);
  yield of(
    log,
    "rewritten under the gate's key",
    "nothing, but the gate signed two checkpoints of one size",
    lines,
    { findings: [forkLate, forkLate] },
    { checkpoints: [late, { note: twin }].map(({ note }) => ({ note })) },
  );
  yield of(
    log,
    "splice between logs",
    "nothing, but the checkpoint is another log's",
    lines.slice(0, 3),
    { findings: ["1 FORK", "2 FORK", "3 FORK", "3 TRUNCATED"] },
    { checkpoints: [{ note: other.checkpoints[0].note }] },
  );
}

/** A denial after the last record of the last sequence, under this key. */
function appended(lines: readonly string[], key: SigningKey): string {
  const last = parsed(lines.at(-1));
  const next = {
    ...last,
    seq: Number(last["seq"]) + 1,
    prev: hashOf(lines.at(-1)),
    nonce: "another",
  };
  return signedLine(next, key);
}

function bare({ publicJwk: { kty, crv, x, kid } }: SigningKey): {
  kty: string;
  crv: string;
  x: string;
  kid: string;
} {
  return { kty, crv, x, kid };
}

function proofBy(key: SigningKey, logId: string, kid: string): string {
  const text = `stepgate.key/1\n${logId}\n${kid}`;
  return `ed25519=${sign(null, Buffer.from(text), key.privateKey).toString("hex")}`;
}
