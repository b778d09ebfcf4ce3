/** Arrays in binary form arrive at a real server as they left, whatever stands in them. */
import fc from "fast-check";
import pg from "pg";
import { logTest } from "@stepgate/contract";
import { expect } from "vitest";
import { bigintArray, booleanArray, integerArray, textArray } from "../src/binary-array.ts";
import { shareServer } from "./shared-server.ts";
import { ownerOf, storeUnderTest } from "./store-under-test.ts";

shareServer();

const INT4 = { min: -(2 ** 31), max: 2 ** 31 - 1 };
/** Every text but what PostgreSQL cannot keep, and the store refuses: NUL, and halves of pairs. */
const text = fc.string({ unit: "binary" }).filter((one) => !one.includes("\0"));
const columns = fc.record({
  texts: fc.array(fc.option(text)),
  bigints: fc.array(fc.option(fc.maxSafeInteger())),
  integers: fc.array(fc.option(fc.integer(INT4))),
  booleans: fc.array(fc.option(fc.boolean())),
});

logTest(
  storeUnderTest,
  "arrays of texts, numbers, booleans and nulls arrive as they left",
  async ({ place }) => {
    const client = new pg.Client(ownerOf(place).url);
    await client.connect();
    try {
      await fc.assert(
        fc.asyncProperty(columns, async ({ texts, bigints, integers, booleans }) => {
          const { rows } = await client.query(
            `SELECT to_json($1::text[]) AS texts, to_json($2::bigint[]) AS bigints,
               to_json($3::integer[]) AS integers, to_json($4::boolean[]) AS booleans`,
            [
              textArray(texts),
              bigintArray(bigints),
              integerArray(integers),
              booleanArray(booleans),
            ],
          );
          expect(rows).toEqual([{ texts, bigints, integers, booleans }]);
        }),
      );
      const { rows } = await client.query("SELECT cardinality($1::text[]) AS n", [
        textArray([undefined, null, ""]),
      ]);
      expect(rows).toEqual([{ n: 3 }]);
    } finally {
      await client.end();
    }
  },
);
