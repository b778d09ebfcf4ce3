/** The published vectors: the same bytes again, and both verifiers say of each what is published. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { judge } from "../src/judge-mutants.ts";
import {
  consistencyByCore,
  consistencyBySecond,
  type ConsistencyVector,
  type InclusionVector,
  noteByCore,
  noteBySecond,
  type NoteVector,
  proofByCore,
  proofBySecond,
} from "../src/log-vectors.ts";
import { receiptVectors } from "../src/receipt-vectors.ts";

const folder = new URL("../../core/test/vectors/", import.meta.url);
const read = (path: string): Buffer => readFileSync(new URL(path, folder));
const keys: unknown = JSON.parse(read("keys.json").toString());
const secrets = new Map(
  Object.entries(JSON.parse(read("hmac-secrets.json").toString()) as Record<string, string>).map(
    ([id, hex]) => [id, Buffer.from(hex, "hex")],
  ),
);

interface Published {
  readonly file: string;
  readonly result: string;
  readonly findings: readonly { readonly line: number; readonly code: string }[];
  readonly verdicts: Readonly<Record<string, string>>;
  readonly trust?: object;
}

const published = linesOf<Published>("expected.jsonl");

test("the vectors are what the repository makes, byte for byte", async () => {
  const made = await receiptVectors();
  for (const { path, bytes } of made) expect(bytes.equals(read(path)), path).toBe(true);
  const negative = made.filter(({ path }) => path.startsWith("negative/")).length;
  expect(readdirSync(new URL("negative/", folder))).toHaveLength(negative);
}, 300_000);

test("at least sixty files have a finding, and both verifiers give it", () => {
  expect(published.filter(({ findings }) => findings.length > 0).length).toBeGreaterThan(60);
  for (const { file, result, findings, verdicts, trust } of published) {
    const { core, second } = judge(read(file), { keys, secrets, ...trust });
    const found = core.findings.toSorted((one, other) => one.line - other.line);
    expect(
      found.map(({ line, code }) => ({ line, code })),
      file,
    ).toEqual(findings);
    expect(second.findings, file).toEqual(findings);
    expect([core.result, second.result], file).toEqual([result, result]);
    const told = core.sequences.map(({ sequence_id, verdict }) => [sequence_id, verdict]);
    expect(Object.fromEntries(told), file).toEqual(verdicts);
    expect(Object.fromEntries(second.verdicts), file).toEqual(verdicts);
  }
});

test("the sound file is sound to both", () => {
  const { core, second } = judge(read("sound.jsonl"), { keys, secrets });
  expect([core.result, core.findings, second.findings]).toEqual(["sound", [], []]);
});

test("the log whose policies and keys changed is sound to both, against both of its checkpoints", () => {
  const logKeys: unknown = JSON.parse(read("log-keys.json").toString());
  const checkpoints = linesOf<NoteVector>("checkpoints.jsonl").slice(0, 2);
  const { core, second } = judge(read("log.jsonl"), { keys: logKeys, checkpoints });
  expect([core.result, core.findings, second.findings]).toEqual(["sound", [], []]);
  expect(core.checkpoints?.map(({ size, result }) => [size, result])).toEqual([
    [5, "HOLDS"],
    [16, "HOLDS"],
  ]);
});

describe("of the log's checkpoints and proofs both verifiers say what is published", () => {
  const logKeys: unknown = JSON.parse(read("log-keys.json").toString());
  interface Answer {
    readonly holds?: boolean;
    readonly refused?: string;
  }
  const told = ({ holds, refused }: Answer): string => (holds === true ? "holds" : String(refused));

  test("checkpoints", () => {
    const all = linesOf<NoteVector & Answer>("checkpoints.jsonl");
    expect(new Set(all.map(told))).toEqual(
      new Set(["holds", "INVALID_INPUT", "KEY_INVALID", "RECEIPT_INVALID"]),
    );
    for (const one of all)
      expect([noteByCore(one.note, logKeys), noteBySecond(one.note, logKeys)], one.what).toEqual([
        told(one),
        told(one),
      ]);
  });

  test("proofs of inclusion", () => {
    const all = linesOf<InclusionVector & Answer>("inclusion.jsonl");
    expect(all.filter(({ holds }) => holds === true).length).toBeGreaterThan(20);
    for (const one of all)
      expect([proofByCore(one, logKeys), proofBySecond(one, logKeys)], one.what).toEqual([
        told(one),
        told(one),
      ]);
  });

  test("proofs of consistency", () => {
    const all = linesOf<ConsistencyVector & Answer>("consistency.jsonl");
    expect(new Set(all.map(({ holds }) => holds))).toEqual(new Set([true, false]));
    for (const one of all)
      expect([consistencyByCore(one), consistencyBySecond(one)], one.what).toEqual([
        one.holds,
        one.holds,
      ]);
  });
});

function linesOf<T>(path: string): readonly T[] {
  const lines = read(path).toString().trim().split("\n");
  return lines.map((line) => JSON.parse(line) as T);
}
