/** Lines that are taken in one pass: what it takes is what reading them in full makes of them, byte for byte. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalize } from "../src/canonical-json.ts";
import { importKeySet, type Receipt, recordHash } from "../src/index.ts";
import { plainRecord } from "../src/receipt-scan.ts";
import { checkSignature } from "../src/signature-check.ts";
import { createBatchVerifier } from "../src/verify-batch.ts";
import { type Evidence, readInFull, readLine } from "../src/verify-record.ts";

const folder = new URL("vectors/", import.meta.url);
const read = (path: string): Buffer => readFileSync(new URL(path, folder));
const keys = importKeySet(JSON.parse(read("keys.json").toString()));
const LINES: readonly Buffer[] = read("records.jsonl")
  .toString()
  .trim()
  .split("\n")
  .map((line) => Buffer.from((JSON.parse(line) as { readonly line: string }).line));

/** Batches are remembered by nobody: the order of readings does not matter. */
function evidence(): Evidence {
  return {
    keys,
    hmacKeys: new Map(),
    require: "ed25519",
    holds: checkSignature,
    batches: createBatchVerifier(),
    covers: () => false,
  };
}

function mustAgree(line: Uint8Array): void {
  expect(readLine(line, evidence()), Buffer.from(line).toString("latin1")).toEqual(
    readInFull(line, evidence()),
  );
}

/** Effects as a gate writes them, in a record that has some. */
function withEffects(text: string): Buffer {
  const line = LINES.map(String).find((one) => one.includes('"decision":"ALLOW"')) ?? "";
  const { effects: _effects, ...record } = JSON.parse(line) as Receipt & { effects?: object };
  const marked = canonicalize({ ...record, effects: "here" });
  return Buffer.from(marked.replace('"here"', text));
}

describe("a line that is written plainly", () => {
  test("is taken, whatever its kind; others are read in full", () => {
    const others = ['"ext":', '"new_key":', '"unrecorded":', "\\"];
    for (const line of LINES) {
      const taken = plainRecord(line);
      mustAgree(line);
      if (others.some((one) => line.includes(one))) continue;
      expect(taken?.members, String(line)).toEqual(JSON.parse(String(line)));
      expect(recordHash(taken?.members as unknown as Receipt)).toBe(
        readLine(line, evidence()).place?.hash,
      );
    }
    const kinds = LINES.flatMap((line) => plainRecord(line)?.members["kind"] ?? []);
    expect([...new Set(kinds)].toSorted()).toEqual(
      ["approval", "context", "decision", "open", "outcome", "policy", "seal"].filter((kind) =>
        LINES.some((line) => line.includes(`"kind":"${kind}"`)),
      ),
    );
    expect(kinds.length).toBeGreaterThan(LINES.length / 2);
  });

  test("is taken with effects in canonical order alone", () => {
    const digest = `"hmac-sha256:${"0".repeat(64)}"`;
    for (const [text, taken] of [
      [`{"binds":{"a":${digest},"b":${digest}},"totals":{"x.limits.sum":"12"}}`, true],
      [`{"binds":{"a":${digest},"a!":${digest},"a.b":${digest}}}`, true],
      [`{"totals":{"10":"1","9":"0"}}`, true],
      [`{"totals":{"9":"0","10":"1"}}`, false],
      [`{"binds":{"b":${digest},"a":${digest}}}`, false],
      [`{"binds":{"a":${digest},"a":${digest}}}`, false],
      [`{"totals":{"x":"1"},"binds":{"a":${digest}}}`, false],
      [`{"totals":{"x":"01"}}`, false],
      [`{"totals":{"x":"1.5","y":"0.05","z":"10.25"}}`, true],
      [`{"totals":{"x":"1.50"}}`, false],
      [`{"totals":{"x":"1."}}`, false],
      [`{"totals":{"x":".5"}}`, false],
      [`{"totals":{}}`, false],
      ["{}", false],
    ] as const) {
      const line = withEffects(text);
      expect(plainRecord(line) !== undefined, text).toBe(taken);
      mustAgree(line);
    }
  });
});

describe("both ways of reading agree", () => {
  const line = fc.constantFrom(...LINES);
  const byte = fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('"\\{}[],:0aA@ \u0000\n')));

  test("on lines with bytes changed, put in, left out or cut off", () => {
    const change = fc.tuple(line, fc.nat(), byte, fc.constantFrom("set", "add", "drop", "cut"));
    fc.assert(
      fc.property(change, ([bytes, at, value, how]) => {
        const place = at % bytes.length;
        const changed = [...bytes];
        if (how === "set") changed[place] = value;
        else if (how === "cut") changed.length = place;
        else changed.splice(place, how === "drop" ? 1 : 0, ...(how === "add" ? [value] : []));
        mustAgree(Uint8Array.from(changed));
      }),
      { numRuns: 3000 },
    );
  });

  const long = fc.nat(401).map((length) => "a".repeat(length));
  const value = fc.oneof(
    long,
    fc.string({ unit: "binary", maxLength: 4 }),
    fc.constantFrom("", "@log", "a\u00e9", 'a"', "a\\", "\u007f", "-", "a b", "ALLOW", "open"),
    fc.constantFrom(0, -1, 1, 1.5, 1e14, 1e15, 2 ** 53 - 1, 2 ** 53, 1e21, true, false, null),
    fc.constantFrom([], {}, ["a"], { a: 1 }),
    fc.constantFrom(64, 43, 22, 128).map((length) => "0".repeat(length)),
    fc
      .constantFrom("sha256:", "hmac-sha256:", "ed25519=", "sha256=")
      .chain((prefix) =>
        fc.constantFrom(63, 64, 65, 128).map((length) => `${prefix}${"f".repeat(length)}`),
      ),
  );
  const member = fc.constantFrom(
    ...new Set(LINES.flatMap((one) => Object.keys(JSON.parse(String(one)) as object))),
    "another",
  );

  test("on records with any member replaced, added or left out", () => {
    fc.assert(
      fc.property(line, member, fc.option(value, { nil: undefined }), (bytes, name, given) => {
        const { [name]: _, ...rest } = JSON.parse(String(bytes)) as Record<string, unknown>;
        const record = given === undefined ? rest : { ...rest, [name]: given };
        mustAgree(Buffer.from(canonicalize(record)));
      }),
      { numRuns: 3000 },
    );
  });
});
