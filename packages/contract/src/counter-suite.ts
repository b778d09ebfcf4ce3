/** The part of a store's contract that limits rest on: counters move with the records or not at all, exactly. */
import { type Append, FORGOTTEN_AFTER_MS } from "@stepgate/core";
import { expect } from "vitest";
import { AT_MS, counting, sampleRecord } from "./sample-record.ts";
import type { StoreTest } from "./store-suite.ts";

/** Registers what every store must do with counters. */
export function counterTests(storeTest: StoreTest): void {
  movingTests(storeTest);
  refusingTests(storeTest);
  namingTests(storeTest);
  keepingTests(storeTest);
}

function movingTests(storeTest: StoreTest): void {
  storeTest(
    "a counter is unheard of until it moves, and stands for what was added",
    async ({ store }) => {
      expect(await store.counters(["c"])).toEqual(new Map());
      expect(await store.append({ ...one("s", 0), counters: counting("c", "1", "2") })).toBe("won");
      expect(await store.counters(["c"])).toEqual(new Map([["c", "1"]]));
      expect(await store.append({ ...one("t", 0), counters: counting("c", "1", "2") })).toBe("won");
      expect(await store.counters(["c", "d"])).toEqual(new Map([["c", "2"]]));
      expect(await store.counters([])).toEqual(new Map());
    },
  );
  storeTest("totals are exact decimals, up to the maximum and not beyond", async ({ store }) => {
    const large = "123456789012345678901234567890";
    const tiny = `0.${"0".repeat(323)}5`;
    const rows = [
      ["tenths", "0.1", "0.3", "won"],
      ["tenths", "0.2", "0.3", "won"],
      ["tenths", tiny, "0.3", "limited"],
      ["large", large, `${large}.5`, "won"],
      ["large", "0.5", `${large}.5`, "won"],
      ["large", "0.000000000000000000000000000001", `${large}.5`, "limited"],
      ["tiny", tiny, "1", "won"],
      ["tiny", tiny, "1", "won"],
      ["nothing", "0", "0", "won"],
      ["nothing", "1", "0", "limited"],
    ] as const;
    for (const [index, [counter, add, max, result]] of rows.entries()) {
      const append = { ...one(`s${index}`, 0), counters: counting(counter, add, max) };
      expect(await store.append(append)).toBe(result);
    }
    expect(await store.counters(["tenths", "large", "tiny", "nothing"])).toEqual(
      new Map([
        ["tenths", "0.3"],
        ["large", `${large}.5`],
        ["tiny", `0.${"0".repeat(322)}1`],
        ["nothing", "0"],
      ]),
    );
  });
  storeTest(
    "steps on one counter add up within an append, each held to its own maximum",
    async ({ store }) => {
      const twice = (max: string) => [...counting("c", "2", "9"), ...counting("c", "3", max)];
      expect(await store.append({ ...one("s", 0), counters: twice("4") })).toBe("limited");
      expect(await store.append({ ...one("s", 0), counters: twice("5") })).toBe("won");
      expect(await store.counters(["c"])).toEqual(new Map([["c", "5"]]));
    },
  );
  storeTest(
    "a retry of bytes that stand is won and counts nothing, even where nothing would fit",
    async ({ store }) => {
      const append = { ...one("s", 0), counters: counting("c", "1", "1") };
      expect([await store.append(append), await store.append(append)]).toEqual(["won", "won"]);
      expect(await store.append({ ...one("t", 0), counters: counting("c", "1", "5") })).toBe("won");
      expect(await store.append(append)).toBe("won");
      expect(await store.counters(["c"])).toEqual(new Map([["c", "2"]]));
    },
  );
  storeTest(
    "of equal appends in one turn all are won, and one counts",
    async ({ store, another }) => {
      const stores = another === undefined ? [store] : [store, await another()];
      const append = { ...one("s", 0), counters: counting("c", "1", "1") };
      const answers = Array.from({ length: 16 }, (_, n) =>
        stores[n % stores.length]?.append(append),
      );
      expect(new Set(await Promise.all(answers))).toEqual(new Set(["won"]));
      expect(await store.counters(["c"])).toEqual(new Map([["c", "1"]]));
    },
  );
}

function refusingTests(storeTest: StoreTest): void {
  storeTest("an append that is limited changes nothing at all", async ({ store }) => {
    await store.append({ ...one("full", 0), counters: counting("full", "1", "1") });
    const opens = { gate_id: "gate-1", expires_ms: AT_MS };
    const records = [
      sampleRecord("s", 0, "open"),
      sampleRecord("s", 1, "counted", { nonce: "n", opens }),
    ] as const;
    const counters = [...counting("free", "1", "9"), ...counting("full", "1", "1")];
    const documents = [{ digest: "d", text: "text" }];
    const append = { sequence_id: "s", records, documents, counters };
    expect([await store.append(append), await store.append(append)]).toEqual([
      "limited",
      "limited",
    ]);
    expect(await store.read("s", 0)).toEqual([]);
    expect(await Array.fromAsync(store.lines())).toHaveLength(1);
    expect(await Array.fromAsync(store.openAllows())).toEqual([]);
    expect(await store.document("d")).toBeUndefined();
    expect(await store.counters(["free", "full"])).toEqual(new Map([["full", "1"]]));
    expect(await store.append({ ...append, counters: [] })).toBe("won");
  });
  storeTest("an append that is lost or a replay moves no counter", async ({ store }) => {
    const counters = counting("c", "1", "1");
    expect(await store.append(burning("s", 0))).toBe("won");
    expect(await store.append({ ...one("s", 0), counters })).toBe("lost");
    expect(await store.append({ ...one("s", 2), counters })).toBe("lost");
    expect(await store.append({ ...burning("s", 1), counters })).toBe("replay");
    expect(await store.counters(["c"])).toEqual(new Map());
    expect(await store.append({ ...one("s", 1), counters })).toBe("won");
  });
  storeTest("what is wrong is said in the order lost, replay, limited", async ({ store }) => {
    await store.append({ ...burning("s", 0), counters: counting("c", "1", "1") });
    const counters = counting("c", "1", "1");
    expect(await store.append({ ...burning("s", 2), counters })).toBe("lost");
    expect(await store.append({ ...burning("s", 1), counters })).toBe("replay");
    expect(await store.append({ ...one("s", 1), counters })).toBe("limited");
  });
  storeTest(
    "what is no decimal of at least 0 is refused, whatever else comes in that turn",
    async ({ store }) => {
      const spellings = [
        "",
        " 1",
        "1 ",
        "-1",
        "+1",
        "01",
        "1.",
        ".5",
        "1.50",
        "1e3",
        "0x1",
        "Infinity",
        "NaN",
        "1\n",
      ];
      const refused = spellings.flatMap((text, index) => [
        store.append({ ...one(`add-${index}`, 0), counters: counting("c", text, "9") }),
        store.append({ ...one(`max-${index}`, 0), counters: counting("c", "1", text) }),
      ]);
      const right = store.append({ ...one("s", 0), counters: counting("c", "1", "9") });
      const settled = await Promise.allSettled(refused);
      expect(settled.filter(({ status }) => status === "fulfilled")).toEqual([]);
      expect(await right).toBe("won");
      expect(await Array.fromAsync(store.lines())).toHaveLength(1);
      expect(await store.counters(["c"])).toEqual(new Map([["c", "1"]]));
    },
  );
}

function namingTests(storeTest: StoreTest): void {
  storeTest("counters are told apart by every character of their name", async ({ store }) => {
    const moves = HOSTILE_NAMES.map((counter, index) => ({
      ...one(`s${index}`, 0),
      counters: counting(counter, `${index}`, "1000"),
    }));
    for (const append of moves) expect(await store.append(append)).toBe("won");
    expect(await store.counters(["hasOwnProperty", ...HOSTILE_NAMES, ...HOSTILE_NAMES])).toEqual(
      new Map(HOSTILE_NAMES.map((name, index) => [name, `${index}`])),
    );
  });
}

function keepingTests(storeTest: StoreTest): void {
  storeTest(
    "counters stand after the store was closed and opened again",
    async ({ store, reopen }, context) => {
      if (reopen === undefined) return context.skip("this store keeps nothing beyond its object");
      await store.append({ ...one("s", 0), counters: counting("c", "0.1", "0.3") });
      await store.close();
      const again = await reopen();
      expect(await again.counters(["c"])).toEqual(new Map([["c", "0.1"]]));
      expect(await again.append({ ...one("t", 0), counters: counting("c", "0.3", "0.3") })).toBe(
        "limited",
      );
      expect(await again.append({ ...one("t", 0), counters: counting("c", "0.2", "0.3") })).toBe(
        "won",
      );
    },
  );
  storeTest("what one object counted, another counts on", async ({ store, another }, context) => {
    if (another === undefined) return context.skip("this store is one object");
    const second = await another();
    const append = { ...one("s", 0), counters: counting("c", "1", "2") };
    expect(await store.append(append)).toBe("won");
    expect(await second.counters(["c"])).toEqual(new Map([["c", "1"]]));
    expect(await second.append(append)).toBe("won");
    expect(await second.append({ ...one("t", 0), counters: counting("c", "1", "2") })).toBe("won");
    expect(await store.append({ ...one("u", 0), counters: counting("c", "1", "2") })).toBe(
      "limited",
    );
  });
  storeTest(
    "a counter is kept for a day after its window, whatever other windows do",
    async ({ store }) => {
      const [step] = counting("c", "1", "1");
      if (step === undefined) throw new Error("no step");
      await store.append({ ...one("s", 0), counters: [step] });
      const at_ms = step.until_ms + FORGOTTEN_AFTER_MS;
      for (let n = 0; n < 20; n++) {
        const later = { counter: `later ${n}`, add: "1", max: "1", at_ms, until_ms: at_ms + 1 };
        await store.append({ ...one(`later ${n}`, 0), counters: [later] });
      }
      expect(await store.counters(["c"])).toEqual(new Map([["c", "1"]]));
      expect(await store.append({ ...one("t", 0), counters: [step] })).toBe("limited");
    },
  );
}

const HOSTILE_NAMES: readonly string[] = [
  "a",
  "A",
  "a\nb",
  "a\n",
  "\na",
  " a",
  "__proto__",
  "constructor",
  "toString",
  "é",
  "e\u0301",
  "\u{1F600}\u2028",
  "x".repeat(2000),
  "x".repeat(2001),
  "'; DROP TABLE counter; --",
  "%",
  "_",
  "0",
  "00",
  "",
];

function one(sequenceId: string, seq: number): Append {
  return { sequence_id: sequenceId, records: [sampleRecord(sequenceId, seq, "record")] };
}

function burning(sequenceId: string, seq: number): Append {
  return {
    sequence_id: sequenceId,
    records: [sampleRecord(sequenceId, seq, "burns a nonce", { nonce: "n" })],
  };
}
