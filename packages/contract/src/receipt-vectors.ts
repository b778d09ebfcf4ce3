/** The published vectors of receipts: small files made with test keys, the same bytes in every run, for verifiers in any language. */
import { canonicalize } from "@stepgate/core";
import { judge } from "./judge-mutants.ts";
import { bytesOf, hashOf, type Mutant, parsed, sequencesOf } from "./mutant.ts";
import { receiptMutants } from "./receipt-mutants.ts";
import { genesis, signedInput } from "./second-proofs.ts";
import { type SoundFile, soundReceipts } from "./sound-receipts.ts";

/** One file of the folder of vectors. */
export interface VectorFile {
  readonly path: string;
  readonly bytes: Buffer;
}

/** Every file but the README, in no order that matters. */
export async function receiptVectors(): Promise<readonly VectorFile[]> {
  const [file, other] = [await soundReceipts(8), await soundReceipts(8, 25, "other")];
  const negatives = [...oneOfEach(receiptMutants(file, other))];
  const secrets = Object.fromEntries(
    [...file.secrets].map(([id, secret]) => [id, Buffer.from(secret).toString("hex")]),
  );
  return [
    { path: "keys.json", bytes: pretty(file.keys) },
    { path: "hmac-secrets.json", bytes: pretty(secrets) },
    { path: "sound.jsonl", bytes: bytesOf(file.lines) },
    { path: "records.jsonl", bytes: bytesOf(oneOfEachKind(file).map(explained)) },
    { path: "genesis.jsonl", bytes: bytesOf(sequencesOf(file).map(genesisOf)) },
    ...negatives.map(({ mutant, path }) => ({ path, bytes: mutant.file })),
    {
      path: "expected.jsonl",
      bytes: bytesOf(negatives.map(({ mutant, path }) => toldOf(file, mutant, path))),
    },
  ];
}

/** Mutants by what was done, whatever the place: the first of each, with its path. */
function* oneOfEach(mutants: Iterable<Mutant>): Generator<{ mutant: Mutant; path: string }> {
  const seen = new Map<string, number>();
  for (const mutant of mutants) {
    const sort = mutant.name
      .replace(/^bit (\d) of \w+ (\w+) in.*/, "bit $1 of a $2")
      .replace(/ of (call \d+|pay|big) again/, " again")
      .replaceAll(/\b(record|records|and) \d+/g, "$1");
    if (seen.has(sort) || /^bit [12346]/.test(sort)) continue;
    seen.set(sort, seen.size);
    const slug = sort
      .replaceAll(/[^A-Za-z0-9]+/g, "-")
      .replaceAll(/^-|-$/g, "")
      .toLowerCase();
    yield {
      mutant: shortened(mutant),
      path: `negative/${String(seen.size).padStart(3, "0")}-${slug}.jsonl`,
    };
  }
}

/** Cut after the line that follows the finding: what comes later teaches nothing more. */
function shortened(mutant: Mutant): Mutant {
  const { expected, file } = mutant;
  if (expected === "gone" || "verdict" in expected || mutant.trust?.checkpoints !== undefined)
    return mutant;
  const last = "lines" in expected ? Math.max(...expected.lines) : Infinity;
  let end = 0;
  for (let line = 0; line <= last; line++) end = file.indexOf(10, end) + 1 || file.length;
  return { ...mutant, file: file.subarray(0, end) };
}

function toldOf(file: SoundFile, mutant: Mutant, path: string): string {
  const trust = { keys: file.keys, secrets: file.secrets, ...mutant.trust };
  const { second } = judge(mutant.file, trust);
  return canonicalize({
    file: path,
    what: mutant.name,
    findings: second.findings.map(({ line, code }) => ({ line, code })),
    verdicts: Object.fromEntries(second.verdicts),
    ...(mutant.trust === undefined ? {} : { trust: JSON.parse(JSON.stringify(mutant.trust)) }),
  });
}

/** The first line of every kind, decision and way of being signed. */
function oneOfEachKind(file: SoundFile): readonly string[] {
  const first = new Map<string, string>();
  for (const line of file.lines) {
    const { kind, decision, deny_code, batch } = parsed(line);
    const sort = [kind, decision, deny_code, batch !== undefined].join();
    if (!first.has(sort)) first.set(sort, line);
  }
  return [...first.values()];
}

/** A record beside the bytes that are signed and their hash. */
function explained(line: string): string {
  const record = parsed(line);
  const input = signedInput(record).toString("hex");
  return canonicalize({ line, input_hex: input, record_hash: hashOf(line) });
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
