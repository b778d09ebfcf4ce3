/** The published vectors: the same bytes again, and both verifiers say of each what is published. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { judge } from "../src/judge-mutants.ts";
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
  readonly findings: readonly { readonly line: number; readonly code: string }[];
  readonly verdicts: Readonly<Record<string, string>>;
  readonly trust?: object;
}

const published = read("expected.jsonl")
  .toString()
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Published);

test("the vectors are what the repository makes, byte for byte", async () => {
  const made = await receiptVectors();
  for (const { path, bytes } of made) expect(bytes.equals(read(path)), path).toBe(true);
  const negative = made.filter(({ path }) => path.startsWith("negative/")).length;
  expect(readdirSync(new URL("negative/", folder))).toHaveLength(negative);
});

test("at least sixty files have a finding, and both verifiers give it", () => {
  expect(published.filter(({ findings }) => findings.length > 0).length).toBeGreaterThan(60);
  for (const { file, findings, verdicts, trust } of published) {
    const { core, second } = judge(read(file), { keys, secrets, ...trust });
    const found = core.findings.toSorted((one, other) => one.line - other.line);
    expect(
      found.map(({ line, code }) => ({ line, code })),
      file,
    ).toEqual(findings);
    expect(second.findings, file).toEqual(findings);
    const told = core.sequences.map(({ sequence_id, verdict }) => [sequence_id, verdict]);
    expect(Object.fromEntries(told), file).toEqual(verdicts);
    expect(Object.fromEntries(second.verdicts), file).toEqual(verdicts);
  }
});

test("the sound file is sound to both", () => {
  const { core, second } = judge(read("sound.jsonl"), { keys, secrets });
  expect([core.result, core.findings, second.findings]).toEqual(["sound", [], []]);
});
