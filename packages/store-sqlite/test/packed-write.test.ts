/** What the thread is handed comes out there as the append that went in. */
import type { Append, PlacedRecord } from "@stepgate/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { counting } from "@stepgate/contract";
import { packWrite, unpackWrite } from "../src/packed-write.ts";

const text = fc.string({ unit: "grapheme" });
const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const record: fc.Arbitrary<PlacedRecord> = fc.record(
  {
    seq: whole,
    hash: text,
    line: text,
    nonce: text,
    opens: fc.record({ gate_id: text, expires_ms: whole }),
    closes: text,
  },
  { requiredKeys: ["seq", "hash", "line"], noNullPrototype: true },
);
const append: fc.Arbitrary<Append> = fc.record(
  {
    sequence_id: text,
    records: fc
      .tuple(record)
      .chain(([first]) => fc.array(record).map((rest): Append["records"] => [first, ...rest])),
    documents: fc.array(fc.record({ digest: text, text }, { noNullPrototype: true })),
    counters: fc.constantFrom([], counting("a", "1", "2")),
  },
  { noNullPrototype: true },
);

test("an append of any records, documents and counters is the same on the other side", () => {
  fc.assert(
    fc.property(append, (given) => {
      const write = { kind: "append", append: given } as const;
      expect(unpackWrite(structuredClone(packWrite(write)))).toEqual(write);
    }),
  );
});

test("every other write is handed over as it is", () => {
  const write = { kind: "settle", name: "log_id", value: "log" } as const;
  expect(unpackWrite(structuredClone(packWrite(write)))).toEqual(write);
});
