/**
 * Mutants of a whole log, by who deletes, moves and rewrites what the receipts alone cannot defend: each before a reader
 * without a checkpoint, who can find nothing and says so, and before one who kept two.
 */
import {
  type Attack,
  bytesOf,
  type Draft,
  hashOf,
  type Mutant,
  parsed,
  type SequenceLines,
  signedLine,
  verdictOf,
} from "./mutant.ts";
import type { SecondTrust } from "./second-verifier.ts";
import { checkpointOf } from "./signed-notes.ts";
import { GATE_KEY, SOUND_KEYS } from "./sound-receipts.ts";

/** Every mutant of the log of three sequences, the first two of them under the earlier of two checkpoints. */
export function* logMutants(
  sequences: readonly [SequenceLines, SequenceLines, SequenceLines],
  stranger: SequenceLines | undefined,
): Generator<Mutant> {
  const log = logOf(sequences);
  yield* deleted(log);
  yield* moved(log, stranger);
  yield* rewritten(log);
  yield* underARevokedKey(log);
  yield* underARotatedKey(log);
}

interface Log {
  /** The lines of `@log`. */
  readonly head: readonly string[];
  readonly sequences: readonly (readonly string[])[];
  readonly lines: readonly string[];
  readonly early: Kept;
  readonly late: Kept;
}

interface Kept {
  readonly size: number;
  readonly note: string;
}

function logOf(sequences: readonly SequenceLines[]): Log {
  const head = sequences[0]?.log ?? [];
  const records = sequences.map((one) => one.records);
  const lines = [...head, ...records.flat()];
  const kept = (size: number): Kept => ({
    size,
    note: checkpointOf(lines.slice(0, size), GATE_KEY),
  });
  return {
    head,
    sequences: records,
    lines,
    early: kept(lines.length - (records.at(-1)?.length ?? 0)),
    late: kept(lines.length),
  };
}

/** Both readers' mutants of one file; `found` is what its records show by themselves, `kept` what the checkpoints add. */
function* beforeBoth(
  { early, late }: Log,
  attack: Attack,
  name: string,
  sequences: readonly (readonly string[])[],
  lines: readonly string[],
  kept: readonly string[],
  found: readonly string[] = [],
): Generator<Mutant> {
  const file = bytesOf(lines);
  const verdict = sequences
    .filter(({ length }) => length > 0)
    .map(verdictOf)
    .join(",");
  yield {
    attack,
    name: `${name}, without a checkpoint`,
    file,
    expected: found.length > 0 ? { findings: found } : { verdict },
  };
  yield {
    attack,
    name: `${name}, against two checkpoints`,
    file,
    expected: { findings: [...found, ...kept].toSorted(byLine) },
    trust: { checkpoints: [{ note: early.note }, { note: late.note }] },
  };
}

/** What the checkpoints say of a file of so many lines, from which something under the earlier of them is gone, or not. */
function missing({ early, late }: Log, lines: number, underEarly: boolean): readonly string[] {
  const of = ({ size }: Kept, changed: boolean): readonly string[] => {
    if (lines < size) return [`${Math.max(lines, 1)} TRUNCATED`];
    return changed ? [`${size} FORK`] : [];
  };
  return [...of(early, underEarly), ...of(late, true)];
}

function* deleted(log: Log): Generator<Mutant> {
  const { head, sequences } = log;
  for (const [at, sequence] of sequences.entries()) {
    for (let left = 0; left < sequence.length; left++) {
      const rest = sequences.with(at, sequence.slice(0, left));
      const lines = [...head, ...rest.flat()];
      const name =
        left === 0 ? `sequence ${at} deleted` : `sequence ${at} cut before record ${left}`;
      const attack = left === 0 ? "sequence deleted" : "tail cut off";
      yield* beforeBoth(log, attack, name, rest, lines, missing(log, lines.length, at < 2));
    }
  }
}

/** Lines of different sequences change places, and a sequence of another log stands at the end. */
function* moved(log: Log, stranger: SequenceLines | undefined): Generator<Mutant> {
  const { head, sequences, lines, early, late } = log;
  const [first = [], second = [], third = []] = sequences;
  const forks = [`${early.size} FORK`, `${late.size} FORK`];
  for (const at of first.keys()) {
    const [one = "", other = ""] = [first.at(-1), second.at(0)];
    const mixed = [
      ...first.slice(0, -1 - at),
      ...second.slice(0, at),
      ...first.slice(-1 - at),
      ...second.slice(at),
    ];
    if (at > 0 && at < first.length - 1)
      yield* beforeBoth(
        log,
        "records swapped",
        `${at} records of sequence 1 between those of sequence 0`,
        [first, second, third],
        [...head, ...mixed, ...third],
        forks,
      );
    else if (at === 0)
      yield* beforeBoth(
        log,
        "records swapped",
        "the last record of sequence 0 and the first of sequence 1 swapped",
        [first, second, third],
        [...head, ...first.slice(0, -1), other, one, ...second.slice(1), ...third],
        forks,
      );
  }
  yield* beforeBoth(
    log,
    "records swapped",
    "sequences 1 and 2 swapped",
    [first, third, second],
    [...head, ...first, ...third, ...second],
    forks,
  );
  if (stranger === undefined) return;
  const rest = [...head, ...second, ...third, ...stranger.records];
  const foreign = stranger.records.map(
    (_, at) => `${head.length + second.length + third.length + at + 1} FORK`,
  );
  yield* beforeBoth(
    log,
    "splice between logs",
    "sequence 0 of another log",
    [second, third, stranger.records],
    rest,
    [...foreign, ...missing(log, rest.length, true)],
  );
  yield* beforeBoth(log, "splice between logs", "nothing moved", sequences, lines, []);
}

/** The holder of the gate's own key writes a sequence anew from some record on, references and all. */
function* rewritten(log: Log): Generator<Mutant> {
  const { head, sequences, early, late } = log;
  for (const [place, sequence] of sequences.entries()) {
    for (const at of sequence.keys()) {
      const anew = relinked(sequence, at);
      const all = sequences.with(place, anew.lines);
      const from = head.length + sequences.slice(0, place).flat().length + 1;
      const found = anew.approvals.map((one) => `${from + one} APPROVAL_MISMATCH`);
      const kept = [...(place < 2 ? [`${early.size} FORK`] : []), `${late.size} FORK`];
      yield* beforeBoth(
        log,
        "rewritten under the gate's key",
        `sequence ${place} anew from record ${at} on`,
        all,
        [...head, ...all.flat()],
        kept,
        found,
      );
    }
  }
}

/** Every link and reference leads to the records as they are written now; an approval's own signature cannot follow. */
function relinked(
  records: readonly string[],
  from: number,
): { readonly lines: readonly string[]; readonly approvals: readonly number[] } {
  const renamed = new Map<unknown, string>();
  const lines = records.slice(0, from);
  const approvals: number[] = [];
  for (const [at, line] of records.entries()) {
    if (at < from) continue;
    const record = parsed(line);
    const follow = (member: string): Draft =>
      record[member] === undefined
        ? {}
        : { [member]: renamed.get(record[member]) ?? record[member] };
    const ext = at === from ? { ext: { rewritten: 1 } } : {};
    const anew = signedLine({
      ...record,
      ...["prev", "decision_hash", "resumes", "request"]
        .map(follow)
        .reduce((one, other) => ({ ...one, ...other })),
      ...ext,
    });
    if (renamed.has(record["request"])) approvals.push(at);
    renamed.set(hashOf(line), hashOf(anew));
    lines.push(anew);
  }
  return { lines, approvals };
}

/** The key was stolen and revoked since. What was kept before covers what it covers, and nothing else is believed. */
function* underARevokedKey({ head, sequences, lines, early, late }: Log): Generator<Mutant> {
  const revoked_from = 1_900_000_000;
  const keys = toldOfTheGate({ revoked_from });
  const attack = "rewritten under a revoked key";
  const trust = (kept_since?: number): Partial<SecondTrust> => ({
    keys,
    ...(kept_since === undefined
      ? {}
      : { checkpoints: [early, late].map(({ note }) => ({ note, kept_since })) }),
  });
  const [first = [], ...others] = sequences;
  const thiefs = (at: number): readonly string[] => [
    ...head,
    ...relinked(first, at).lines,
    ...others.flat(),
  ];
  const ofGate = (all: readonly string[], from = 0): readonly string[] =>
    all.flatMap((line, at) =>
      at >= from && parsed(line)["key_id"] === GATE_KEY.keyId ? [`${at + 1} KEY_NOT_VALID`] : [],
    );
  const last = parsed(lines.at(-1));
  const appended = [
    ...lines,
    signedLine({ ...last, seq: Number(last["seq"]) + 1, prev: hashOf(lines.at(-1)) }),
  ];
  for (const at of first.keys()) {
    const file = bytesOf(thiefs(at));
    yield {
      attack,
      name: `sequence 0 from record ${at} on, without a checkpoint`,
      file,
      expected: { findings: ofGate(thiefs(at)) },
      trust: trust(),
    };
    if (relinked(first, at).approvals.length > 0) continue;
    yield {
      attack,
      name: `sequence 0 from record ${at} on, against older checkpoints`,
      file,
      expected: { findings: [`${early.size} FORK`, `${late.size} FORK`] },
      trust: trust(revoked_from - 1),
    };
  }
  yield {
    attack,
    name: "a record after the older checkpoints",
    file: bytesOf(appended),
    expected: { findings: ofGate(appended, late.size) },
    trust: trust(revoked_from - 1),
  };
  yield {
    attack: "nothing, under other keys",
    name: "the gate's key is revoked since the checkpoints were kept",
    file: bytesOf(lines),
    expected: { verdict: sequences.map(verdictOf).join(",") },
    trust: trust(revoked_from - 1),
  };
  yield {
    attack: "nothing, under other keys",
    name: "the checkpoints are no older than the revocation",
    file: bytesOf(lines),
    expected: { findings: ofGate(lines) },
    trust: trust(revoked_from),
  };
}

/** The key was rotated out. Its holder can only pretend that it is still earlier, which a checkpoint shows. */
function* underARotatedKey(log: Log): Generator<Mutant> {
  const { lines, late, sequences } = log;
  const last = parsed(lines.at(-1));
  const until = Math.floor(Number(last["ts_ms"]) / 1000) + 60;
  const trust: Partial<SecondTrust> = {
    keys: toldOfTheGate({ exp: until }),
    checkpoints: [{ note: late.note }],
  };
  const attack = "rewritten under a rotated key";
  // A denial that uses a nonce of its own: nothing but its time can be wrong.
  const denial = parsed(
    lines.findLast(
      (line) =>
        parsed(line)["deny_code"] === "NO_POLICY_MATCH" &&
        parsed(line)["sequence_id"] === last["sequence_id"],
    ),
  );
  const next = {
    ...denial,
    seq: Number(last["seq"]) + 1,
    prev: hashOf(lines.at(-1)),
    nonce: "another",
  };
  const dated = (ts_ms: number): Buffer => bytesOf([...lines, signedLine({ ...next, ts_ms })]);
  yield {
    attack,
    name: "a record dated after its end",
    file: dated(until * 1000),
    expected: { findings: [`${lines.length + 1} KEY_NOT_VALID`] },
    trust,
  };
  yield {
    attack,
    name: "a record dated before the one before it",
    file: dated(Number(last["ts_ms"]) - 1),
    expected: { findings: [`${lines.length + 1} CHAIN_BROKEN`] },
    trust,
  };
  yield {
    attack,
    name: "a record dated before its end, after the checkpoint",
    file: dated(until * 1000 - 1),
    expected: { verdict: sequences.map(verdictOf).join(",") },
    trust,
  };
  for (const at of sequences[0]?.keys() ?? []) {
    const anew = relinked(sequences[0] ?? [], at);
    if (anew.approvals.length > 0) continue;
    const file = bytesOf([...log.head, ...anew.lines, ...sequences.slice(1).flat()]);
    yield {
      attack,
      name: `sequence 0 from record ${at} on`,
      file,
      expected: { findings: [`${late.size} FORK`] },
      trust,
    };
  }
}

/** The key set of a reader who was told more of the gate's key. */
function toldOfTheGate(more: object): SecondTrust["keys"] {
  const keys = SOUND_KEYS.keys.map((jwk) =>
    "kid" in jwk && jwk.kid === GATE_KEY.keyId ? { ...jwk, ...more } : jwk,
  );
  return { keys };
}

function byLine(one: string, other: string): number {
  return Number.parseInt(one, 10) - Number.parseInt(other, 10);
}
