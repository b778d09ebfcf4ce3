/** The published vectors before core alone: every tampered file gives its findings, its verdicts and its result. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  createVerifier,
  importKeySet,
  isConsistent,
  readCheckpoint,
  type Receipt,
  receiptLine,
  recordHash,
  verifyProof,
  type VerifyOptions,
} from "../src/index.ts";
import { signingInput } from "../src/receipt.ts";

interface Published {
  readonly file: string;
  readonly what: string;
  readonly result: string;
  readonly findings: readonly { readonly line: number; readonly code: string }[];
  readonly verdicts: Readonly<Record<string, string>>;
  readonly trust?: Partial<Pick<VerifyOptions, "require" | "checkpoints">> & {
    readonly keys?: unknown;
  };
}

const read = (path: string): Buffer => readFileSync(new URL(`vectors/${path}`, import.meta.url));
const json = (path: string): unknown => JSON.parse(read(path).toString());
const keys = json("keys.json");
const hmacKeys = Object.fromEntries(
  Object.entries(json("hmac-secrets.json") as Record<string, string>).map(([id, hex]) => [
    id,
    Buffer.from(hex, "hex"),
  ]),
);

describe("a tampered file", () => {
  test.each(linesOf<Published>("expected.jsonl").map((one) => [one.file, one] as const))(
    "%s",
    (path, { result, findings, verdicts, trust = {} }) => {
      const report = verify(read(path), trust);
      expect(
        report.findings
          .map(({ line, code }) => ({ line, code }))
          .toSorted((one, other) => one.line - other.line),
      ).toEqual(findings);
      expect(
        Object.fromEntries(report.sequences.map((one) => [one.sequence_id, one.verdict])),
      ).toEqual(verdicts);
      expect(report.result).toBe(result);
    },
  );
});

test.each([
  ["sound.jsonl", "keys.json", []],
  ["log.jsonl", "log-keys.json", [0, 1]],
])("%s is sound", (path, keySet, kept) => {
  const notes = linesOf<{ readonly note: string }>("checkpoints.jsonl").map(({ note }) => note);
  const report = verify(read(path), {
    keys: json(keySet),
    ...(kept.length === 0 ? {} : { checkpoints: kept.map((at) => notes[at] ?? "") }),
  });
  expect([report.result, report.findings]).toEqual(["sound", []]);
  expect(report.records).toBe(read(path).toString().trim().split("\n").length);
});

describe("every record", () => {
  interface Explained {
    readonly line: string;
    readonly input_hex: string;
    readonly record_hash: string;
  }
  const written = [
    ...linesOf<Explained>("records.jsonl").map(({ line }) => line),
    ...["sound.jsonl", "log.jsonl"].flatMap((path) => read(path).toString().trim().split("\n")),
  ];

  test("is written as it stands, whatever the order in which its members were set", () => {
    for (const line of written) {
      const record = JSON.parse(line) as Receipt;
      const turned = Object.fromEntries(Object.entries(record).toReversed()) as unknown as Receipt;
      expect([receiptLine(record), receiptLine(turned)]).toEqual([line, line]);
    }
  });

  test("is signed by the published bytes, and has the published hash", () => {
    for (const { line, input_hex, record_hash } of linesOf<Explained>("records.jsonl")) {
      const record = JSON.parse(line) as Receipt;
      expect(Buffer.from(signingInput(record)).toString("hex")).toBe(input_hex);
      expect(recordHash(record)).toBe(record_hash);
    }
  });
});

describe("of the log", () => {
  const trusted = importKeySet(json("log-keys.json"));
  interface Answer {
    readonly what: string;
    readonly holds?: boolean;
    readonly refused?: string;
  }
  const check = ({ holds, refused, what }: Answer, look: () => unknown): void => {
    if (holds === true) expect(look, what).not.toThrow();
    else expect(look, what).toThrow(expect.objectContaining({ code: refused }));
  };

  test("checkpoints hold, or are refused, as published", () => {
    for (const one of linesOf<Answer & { note: string }>("checkpoints.jsonl"))
      check(one, () => readCheckpoint(one.note, trusted));
  });

  test("proofs of inclusion hold, or are refused, as published", () => {
    for (const one of linesOf<Answer & { record_hash: string; proof: string }>("inclusion.jsonl"))
      check(one, () => verifyProof(one.record_hash, one.proof, trusted));
  });

  test("proofs of consistency hold, or do not, as published", () => {
    interface Proof extends Answer {
      readonly earlier: { readonly size: number; readonly root: string };
      readonly later: { readonly size: number; readonly root: string };
      readonly proof: readonly string[];
    }
    for (const { what, holds, earlier, later, proof } of linesOf<Proof>("consistency.jsonl"))
      expect(isConsistent(earlier, later, proof), what).toBe(holds);
  });
});

function verify(file: Buffer, trust: NonNullable<Published["trust"]>) {
  const verifier = createVerifier({
    ...trust,
    keys: importKeySet(trust.keys ?? keys),
    hmacKeys,
  });
  let from = 0;
  for (let end = file.indexOf(10); end >= 0; end = file.indexOf(10, from)) {
    verifier.line(file.subarray(from, end));
    from = end + 1;
  }
  if (from < file.length) verifier.unterminated();
  return verifier.report();
}

function linesOf<T>(path: string): readonly T[] {
  const lines = read(path).toString().trim().split("\n");
  return lines.map((line) => JSON.parse(line) as T);
}
