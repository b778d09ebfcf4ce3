/** The published vectors of receipts: small files made with test keys, the same bytes in every run, for verifiers in any language. */
import { canonicalize } from "@stepgate/core";
import { batchMutants } from "./batch-mutants.ts";
import { judge } from "./judge-mutants.ts";
import { bytesOf, hashOf, type Mutant, parsed, sequencesOf } from "./mutant.ts";
import { keyMutants } from "./key-mutants.ts";
import { logVectors } from "./log-vectors.ts";
import { recordMutants } from "./receipt-mutants.ts";
import { rotatedLog } from "./rotated-log.ts";
import { isObject } from "./second-json.ts";
import { approvalText, batchRoot, genesis, signedInput, thumbprint } from "./second-proofs.ts";
import { type SoundFile, soundReceipts } from "./sound-receipts.ts";

/** One file of the folder of vectors. */
export interface VectorFile {
  readonly path: string;
  readonly bytes: Buffer;
}

/** Every file but the README, in no order that matters. */
export async function receiptVectors(): Promise<readonly VectorFile[]> {
  const [file, other] = [await soundReceipts(8), await soundReceipts(8, 25, "other")];
  const [log, otherLog] = [await rotatedLog(), await rotatedLog("elsewhere")];
  const mutants = [
    ...oneOfEach(recordMutants(file, other)),
    ...keyMutants(log, otherLog),
    ...batchMutants(log),
  ];
  const negatives = mutants.map((mutant, at) => ({ mutant, path: pathOf(mutant.name, at + 1) }));
  const secrets = Object.fromEntries(
    [...file.secrets].map(([id, secret]) => [id, Buffer.from(secret).toString("hex")]),
  );
  const { checkpoints, inclusion, consistency } = await logVectors(log);
  return [
    { path: "keys.json", bytes: pretty(file.keys) },
    { path: "hmac-secrets.json", bytes: pretty(secrets) },
    { path: "sound.jsonl", bytes: bytesOf(file.lines) },
    { path: "log-keys.json", bytes: pretty(log.keys) },
    { path: "log.jsonl", bytes: bytesOf(log.lines) },
    { path: "checkpoints.jsonl", bytes: bytesOf(checkpoints) },
    { path: "inclusion.jsonl", bytes: bytesOf(inclusion) },
    { path: "consistency.jsonl", bytes: bytesOf(consistency) },
    {
      path: "records.jsonl",
      bytes: bytesOf(oneOfEachKind([...file.lines, ...log.lines]).map(explained)),
    },
    { path: "genesis.jsonl", bytes: bytesOf(sequencesOf(file).map(genesisOf)) },
    ...negatives.map(({ mutant, path }) => ({ path, bytes: mutant.file })),
    {
      path: "expected.jsonl",
      bytes: bytesOf(negatives.map(({ mutant, path }) => toldOf(file, mutant, path))),
    },
  ];
}

/** Mutants by what was done, whatever the place: the first of each, cut to what it teaches. */
function* oneOfEach(mutants: Iterable<Mutant>): Generator<Mutant> {
  const seen = new Set<string>();
  for (const mutant of mutants) {
    const sort = withoutPlace(mutant.name);
    if (seen.has(sort) || /^bit [12346]/.test(sort)) continue;
    seen.add(sort);
    yield shortened(mutant);
  }
}

function withoutPlace(name: string): string {
  return name
    .replace(/^bit (\d) of \w+ (\w+) in.*/, "bit $1 of a $2")
    .replace(/ of (call \d+|pay|big) again/, " again")
    .replaceAll(/\b(record|records|and) \d+/g, "$1");
}

function pathOf(name: string, nth: number): string {
  const words = withoutPlace(name)
    .replaceAll(/[^A-Za-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "")
    .toLowerCase();
  return `negative/${String(nth).padStart(3, "0")}-${words}.jsonl`;
}

/** Cut after the line that follows the finding: what comes later teaches nothing more. */
function shortened(mutant: Mutant): Mutant {
  const { expected, file } = mutant;
  if (expected === "gone" || !("lines" in expected)) return mutant;
  let end = 0;
  for (let line = 0; line <= Math.max(...expected.lines); line++)
    end = file.indexOf(10, end) + 1 || file.length;
  return { ...mutant, file: file.subarray(0, end) };
}

function toldOf(file: SoundFile, mutant: Mutant, path: string): string {
  const trust = { keys: file.keys, secrets: file.secrets, ...mutant.trust };
  const { second } = judge(mutant.file, trust);
  return canonicalize({
    file: path,
    what: mutant.name,
    result: second.result,
    findings: second.findings.map(({ line, code }) => ({ line, code })),
    verdicts: Object.fromEntries(second.verdicts),
    ...(mutant.trust === undefined ? {} : { trust: JSON.parse(JSON.stringify(mutant.trust)) }),
  });
}

/** The first line of every kind, decision and way of being signed. */
function oneOfEachKind(lines: readonly string[]): readonly string[] {
  const first = new Map<string, string>();
  for (const line of lines) {
    const { kind, decision, deny_code, status, batch } = parsed(line);
    const sort = [kind, decision, deny_code, status, batch !== undefined].join();
    if (!first.has(sort)) first.set(sort, line);
  }
  return [...first.values()];
}

/** A record beside the bytes that are signed and their hash, and what else is signed in it. */
function explained(line: string): string {
  const record = parsed(line);
  const { log_id, batch, new_key, kind } = record;
  const root = batchRoot(record)?.toString("hex");
  return canonicalize({
    line,
    input_hex: signedInput(record).toString("hex"),
    record_hash: hashOf(line),
    ...(isObject(batch) && root !== undefined
      ? { batch_text: `stepgate.batch/1\n${String(log_id)}\n${String(batch["size"])}\n${root}` }
      : {}),
    ...(kind === "approval" ? { approval_text: approvalText(record) } : {}),
    ...(isObject(new_key)
      ? { new_key_text: `stepgate.key/1\n${String(log_id)}\n${thumbprint(new_key)}` }
      : {}),
  });
}

function genesisOf({ records }: { readonly records: readonly string[] }): string {
  const { log_id, tenant = "", sequence_id } = parsed(records[0]);
  const [log, owner, id] = [String(log_id), String(tenant), String(sequence_id)];
  const first = genesis(log, owner, id);
  return canonicalize({ log_id: log, tenant: owner, sequence_id: id, first_prev: first });
}

function pretty(value: unknown): Buffer {
  // Laid out as the house's formatter lays it out: a list of one stands on its line.
  const text = JSON.stringify(value, null, 2).replaceAll(/\[\s+("[^"]*")\s+\]/g, "[$1]");
  return Buffer.from(`${text}\n`);
}
