/** The contract of a store as tests: whatever passes this suite can stand under a gate. */
import fc from "fast-check";
import type { Append, Store } from "@stepgate/core";
import { describe, expect, test, type TestContext } from "vitest";
import { toldOf } from "./counter-model.ts";
import { counterTests } from "./counter-suite.ts";
import { runInterleaved, scheduledStore, submissions } from "./interleaved-gates.ts";
import { counting, sampleRecord } from "./sample-record.ts";
import { chainOf, emptyModel, modelAppend, storeCommands, type StoreModel } from "./store-model.ts";
import { raceForOneLimit, raceForOneNonce, raceForOnePlace } from "./store-races.ts";
import { treeTests } from "./tree-suite.ts";

/** A store with an empty log, and what else can be done with that log. */
export interface StoreFixture {
  readonly store: Store;
  /** One more object over the same log, as another process would have it. */
  readonly another?: () => Promise<Store>;
  /** Opens the log again after `store.close()`. */
  readonly reopen?: () => Promise<Store>;
  /** Closes and removes what is left. */
  readonly cleanup?: () => Promise<void>;
}

/** Registers one test on a log of its own. */
export type StoreTest = (
  title: string,
  body: (fixture: StoreFixture, context: TestContext) => Promise<void>,
) => void;

/** Registers the whole suite for one kind of store; `open` gives every test a log of its own. */
export function testStore(name: string, open: () => Promise<StoreFixture>): void {
  const storeTest: StoreTest = (title, body) =>
    test(title, async (context) => {
      const fixture = await open();
      try {
        await body(fixture, context);
      } finally {
        await fixture.cleanup?.();
      }
    });
  describe(name, () => {
    describe("places", () => placeTests(storeTest));
    describe("nonces", () => nonceTests(storeTest));
    describe("reading", () => readingTests(storeTest));
    describe("documents and settings", () => keepingTests(storeTest));
    describe("ALLOWs without an outcome", () => openAllowTests(storeTest));
    describe("counters", () => counterTests(storeTest));
    describe("the log's tree", () => treeTests(storeTest));
    describe("races", () => raceTests(storeTest, open));
    describe("any history", () => historyTests(open));
  });
}

function placeTests(storeTest: StoreTest): void {
  storeTest("the first append for a place wins it, any other loses", async ({ store }) => {
    expect(await store.append(one("s", 0, "first"))).toBe("won");
    expect(await store.append(one("s", 0, "second"))).toBe("lost");
    expect(await store.read("s", 0)).toEqual(linesOf(one("s", 0, "first")));
  });
  storeTest("appending the same bytes again is won again, and adds nothing", async ({ store }) => {
    const pair = append("s", [0, "open"], [1, "decision"]);
    expect(await store.append(pair)).toBe("won");
    expect(await store.append(one("s", 2, "outcome"))).toBe("won");
    expect(await store.append(pair)).toBe("won");
    expect(await store.append(one("s", 1, "decision"))).toBe("won");
    expect(await Array.fromAsync(store.lines())).toHaveLength(3);
  });
  storeTest(
    "the same bytes from many at once are won by all, stand once, and count once",
    async ({ store, another }) => {
      const stores = another === undefined ? [store] : [store, await another()];
      const request = { ...burning("s", 0, "n"), counters: counting("c", "1", "5") };
      const answers = await Promise.all(
        Array.from({ length: 32 }, (_, nth) => stores[nth % stores.length]?.append(request)),
      );
      expect(new Set(answers)).toEqual(new Set(["won"]));
      expect(await store.read("s", 0)).toEqual(linesOf(request));
      expect(await store.counters(["c"])).toEqual(new Map([["c", "1"]]));
    },
  );
  storeTest("a place whose place before is empty is lost", async ({ store }) => {
    expect(await store.append(one("s", 1, "early"))).toBe("lost");
    expect(await store.append(one("s", 0, "first"))).toBe("won");
    expect(await store.append(one("s", 2, "early"))).toBe("lost");
    expect(await store.append(append("s", [1, "next"], [3, "early"]))).toBe("lost");
    expect(await store.append(append("s", [1, "next"], [1, "twice"]))).toBe("lost");
    expect(await store.append(append("s", [2, "backwards"], [1, "next"]))).toBe("lost");
    expect(await store.read("s", 0)).toHaveLength(1);
  });
  storeTest(
    "records that are appended together stand together or not at all",
    async ({ store }) => {
      expect(await store.append(append("s", [0, "open"], [1, "decision"]))).toBe("won");
      expect(await store.append(append("s", [1, "decision"], [2, "new"]))).toBe("lost");
      expect(await store.append(append("s", [1, "other"], [2, "new"]))).toBe("lost");
      expect(await store.read("s", 0)).toEqual(linesOf(append("s", [0, "open"], [1, "decision"])));
      expect(await Array.fromAsync(store.lines())).toHaveLength(2);
    },
  );
  storeTest("sequences are told apart by every character of their name", async ({ store }) => {
    for (const name of HOSTILE_NAMES) expect(await store.append(one(name, 0, "first"))).toBe("won");
    for (const name of HOSTILE_NAMES)
      expect(await store.read(name, 0)).toEqual(linesOf(one(name, 0, "first")));
    expect(await Array.fromAsync(store.lines())).toHaveLength(HOSTILE_NAMES.length);
  });
  storeTest(
    "of the appends of one turn each is judged after those before it",
    async ({ store }) => {
      const appends = [
        one("s", 0, "a"),
        one("s", 0, "b"),
        one("s", 1, "c"),
        append("s", [2, "d"], [3, "e"]),
        one("s", 3, "f"),
      ];
      const answers = await Promise.all(appends.map((request) => store.append(request)));
      const lines = await store.read("s", 0);
      for (const [index, request] of appends.entries()) {
        expect(linesOf(request).every((line) => lines.includes(line))).toBe(
          answers[index] === "won",
        );
      }
      expect(answers.filter((answer) => answer === "won").length).toBeGreaterThan(0);
    },
  );
}

function nonceTests(storeTest: StoreTest): void {
  storeTest("a nonce is burnt once in a sequence, at whatever place", async ({ store }) => {
    expect(await store.append(burning("s", 0, "n"))).toBe("won");
    expect(await store.append(burning("s", 1, "n"))).toBe("replay");
    expect(await store.append(one("s", 1, "denial"))).toBe("won");
    expect(await store.append(burning("s", 2, "n"))).toBe("replay");
    expect(await store.append(burning("s", 2, "m"))).toBe("won");
    expect(await store.append(burning("other", 0, "n"))).toBe("won");
    expect(await store.read("s", 0)).toHaveLength(3);
  });
  storeTest(
    "a place that is held is lost, whatever nonce the record would burn",
    async ({ store }) => {
      expect(await store.append(burning("s", 0, "n"))).toBe("won");
      expect(await store.append(one("s", 1, "denial"))).toBe("won");
      expect(await store.append(burning("s", 1, "n"))).toBe("lost");
      expect(await store.append(burning("s", 0, "n"))).toBe("won");
    },
  );
  storeTest("an append that was not won leaves no trace", async ({ store }) => {
    await store.append({ ...burning("s", 0, "n"), counters: counting("c", "1", "1") });
    const trace = {
      documents: [{ digest: "left behind", text: "text" }],
      counters: counting("d", "1", "9"),
    };
    const loser = sampleRecord("s", 0, "loser", { nonce: "m", opens: OPENS });
    const replayed = sampleRecord("s", 1, "replayed", { nonce: "n", opens: OPENS });
    const limited = sampleRecord("s", 1, "limited", { nonce: "o", opens: OPENS });
    const answers = [
      await store.append({ sequence_id: "s", records: [loser], ...trace }),
      await store.append({ sequence_id: "s", records: [replayed], ...trace }),
      await store.append({
        sequence_id: "s",
        records: [limited],
        ...trace,
        counters: [...trace.counters, ...counting("c", "1", "1")],
      }),
    ];
    expect(answers).toEqual(["lost", "replay", "limited"]);
    expect(await Array.fromAsync(store.lines())).toEqual(linesOf(burning("s", 0, "n")));
    expect(await Array.fromAsync(store.openAllows())).toEqual([]);
    expect(await store.document("left behind")).toBeUndefined();
    expect(await store.counters(["c", "d"])).toEqual(new Map([["c", "1"]]));
    expect((await store.unindexed(10)).records).toHaveLength(1);
    // The nonces of all three are as free as they were.
    for (const [at, nonce] of ["m", "o"].entries())
      expect(await store.append(burning("s", at + 1, nonce))).toBe("won");
  });
  storeTest(
    "one burnt nonce keeps out everything that was to be appended with it",
    async ({ store }) => {
      expect(await store.append(burning("s", 0, "n"))).toBe("won");
      const records = [
        sampleRecord("s", 1, "fine", { nonce: "m" }),
        sampleRecord("s", 2, "burnt", { nonce: "n" }),
      ] as const;
      expect(await store.append({ sequence_id: "s", records })).toBe("replay");
      expect(await store.append(burning("s", 1, "m"))).toBe("won");
      const twice = [
        sampleRecord("s", 2, "one", { nonce: "x" }),
        sampleRecord("s", 3, "two", { nonce: "x" }),
      ] as const;
      expect(await store.append({ sequence_id: "s", records: twice })).toBe("replay");
      expect(await store.read("s", 0)).toHaveLength(2);
    },
  );
  storeTest("nonces are told apart by every character", async ({ store }) => {
    for (const [seq, nonce] of HOSTILE_NONCES.entries())
      expect(await store.append(burning("s", seq, nonce))).toBe("won");
    for (const nonce of HOSTILE_NONCES)
      expect(await store.append(burning("s", HOSTILE_NONCES.length, nonce))).toBe("replay");
  });
}

function readingTests(storeTest: StoreTest): void {
  storeTest(
    "reading gives a sequence's lines in order, from a place on, as many as asked for",
    async ({ store }) => {
      for (const seq of [0, 1, 2, 3, 4]) await store.append(one("s", seq, `record ${seq}`));
      const all = [0, 1, 2, 3, 4].flatMap((seq) => linesOf(one("s", seq, `record ${seq}`)));
      expect(await store.read("s", 0)).toEqual(all);
      expect(await store.read("s", 3)).toEqual(all.slice(3));
      expect(await store.read("s", 1, 2)).toEqual(all.slice(1, 3));
      expect(await store.read("s", 0, 0)).toEqual([]);
      expect(await store.read("s", 5)).toEqual([]);
      expect(await store.read("unheard of", 0)).toEqual([]);
    },
  );
  storeTest("a line comes back byte for byte", async ({ store }) => {
    const line = '{"text":"\\u0000 \\ud83d\u{1F600}\u2028é e\u0301 ﬁ \\" \' ; --"}';
    await store.append({
      sequence_id: "s",
      records: [{ seq: 0, hash: `sha256:${"0".repeat(64)}`, line }],
    });
    expect(await store.read("s", 0)).toEqual([line]);
  });
  storeTest("all lines come in the order in which they were committed", async ({ store }) => {
    const appends = [
      one("b", 0, "1"),
      one("a", 0, "2"),
      append("c", [0, "3"], [1, "4"]),
      one("a", 1, "5"),
      one("b", 1, "6"),
    ];
    for (const request of appends) await store.append(request);
    expect(await Array.fromAsync(store.lines())).toEqual(appends.flatMap(linesOf));
  });
  storeTest("a long log is read whole", async ({ store }) => {
    const names = Array.from({ length: 1_500 }, (_, index) => `s${index}`);
    const answers = await Promise.all(
      names.map((name) => store.append(append(name, [0, "open"], [1, "decision"]))),
    );
    expect(new Set(answers)).toEqual(new Set(["won"]));
    const lines = await Array.fromAsync(store.lines());
    expect(lines.toSorted()).toEqual(
      names.flatMap((name) => linesOf(append(name, [0, "open"], [1, "decision"]))).toSorted(),
    );
  });
  storeTest(
    "everything is there again after the store was closed and opened",
    async ({ store, reopen }, context) => {
      if (reopen === undefined) return context.skip("this store keeps nothing beyond its object");
      await store.append({ ...allow("s", 0), documents: [{ digest: "d", text: "text" }] });
      await store.append(burning("s", 1, "n"));
      await store.setting("log_id", "one");
      const before = {
        lines: await Array.fromAsync(store.lines()),
        open: await Array.fromAsync(store.openAllows()),
      };
      await store.close();
      const again = await reopen();
      expect({
        lines: await Array.fromAsync(again.lines()),
        open: await Array.fromAsync(again.openAllows()),
      }).toEqual(before);
      expect(await again.read("s", 0)).toEqual(before.lines);
      expect([await again.document("d"), await again.setting("log_id", "two")]).toEqual([
        "text",
        "one",
      ]);
      expect([
        await again.append(one("s", 0, "other")),
        await again.append(burning("s", 2, "n")),
        await again.append(burning("s", 1, "n")),
      ]).toEqual(["lost", "replay", "won"]);
      expect(await again.read("s", 0)).toEqual(before.lines);
    },
  );
  storeTest("what one object appended, another sees", async ({ store, another }, context) => {
    if (another === undefined) return context.skip("this store is one object");
    const second = await another();
    expect(await store.append(burning("s", 0, "n"))).toBe("won");
    expect(await second.read("s", 0)).toEqual(linesOf(burning("s", 0, "n")));
    expect(await second.append(one("s", 0, "other"))).toBe("lost");
    expect(await second.append(burning("s", 0, "n"))).toBe("won");
    expect(await second.append(burning("s", 1, "n"))).toBe("replay");
    expect(await second.append(one("s", 1, "next"))).toBe("won");
    expect(await Array.fromAsync(store.lines())).toHaveLength(2);
  });
}

function keepingTests(storeTest: StoreTest): void {
  storeTest(
    "a document is found by its digest, and keeping it again changes nothing",
    async ({ store }) => {
      const text = `{"text":"${"ü\u2028".repeat(30_000)}"}`;
      await store.keep([
        { digest: "d1", text },
        { digest: "__proto__", text: "{}" },
      ]);
      await store.keep([{ digest: "d1", text: "something else" }]);
      // Not `toBe(text)`: a failure would print it all.
      expect((await store.document("d1")) === text).toBe(true);
      expect(await store.document("__proto__")).toBe("{}");
      expect(await store.document("constructor")).toBeUndefined();
    },
  );
  storeTest("an append that is won keeps its documents", async ({ store }) => {
    expect(
      await store.append({ ...one("s", 0, "open"), documents: [{ digest: "d", text: "context" }] }),
    ).toBe("won");
    expect(await store.document("d")).toBe("context");
  });
  storeTest("a setting stands as it was first kept", async ({ store }) => {
    expect(await store.setting("log_id", "first")).toBe("first");
    expect(await store.setting("log_id", "second")).toBe("first");
    expect(await store.setting("__proto__", "value")).toBe("value");
    expect(await store.setting("mode", "")).toBe("");
    expect(await store.setting("mode", "enforce")).toBe("");
  });
  storeTest(
    "of many that set one thing at once, all are told the same value",
    async ({ store, another }) => {
      const stores = another === undefined ? [store] : [store, await another(), await another()];
      const told = await Promise.all(
        Array.from({ length: 48 }, (_, n) =>
          stores[n % stores.length]?.setting("log_id", `value ${n}`),
        ),
      );
      expect(new Set(told).size).toBe(1);
      expect(told[0]).toMatch(/^value \d+$/);
      expect(await store.setting("log_id", "late")).toBe(told[0]);
    },
  );
}

function openAllowTests(storeTest: StoreTest): void {
  storeTest("an ALLOW is listed from its append to its outcome", async ({ store }) => {
    expect(await Array.fromAsync(store.openAllows())).toEqual([]);
    await store.append(allow("s", 0));
    await store.append(one("s", 1, "denial"));
    await store.append(allow("t", 0));
    const listed = await Array.fromAsync(store.openAllows());
    expect(listed.toSorted((a, b) => (a.sequence_id < b.sequence_id ? -1 : 1))).toEqual([
      openAllow("s", 0),
      openAllow("t", 0),
    ]);
    await store.append(outcome("s", 2, hashOf(allow("s", 0))));
    expect(await Array.fromAsync(store.openAllows())).toEqual([openAllow("t", 0)]);
  });
  storeTest("an ALLOW is closed by its hash, whichever sequence says so", async ({ store }) => {
    await store.append(allow("s", 0));
    await store.append(allow("t", 0));
    await store.append(outcome("u", 0, hashOf(allow("s", 0))));
    await store.append(outcome("t", 1, hashOf(allow("s", 0))));
    expect(await Array.fromAsync(store.openAllows())).toEqual([openAllow("t", 0)]);
  });
  storeTest("an append that is not won opens and closes nothing", async ({ store }) => {
    await store.append(allow("s", 0));
    expect(
      await store.append({
        ...allow("s", 0),
        records: [sampleRecord("s", 0, "other", { opens: OPENS })],
      }),
    ).toBe("lost");
    expect(await store.append(outcome("s", 5, hashOf(allow("s", 0))))).toBe("lost");
    expect(await Array.fromAsync(store.openAllows())).toEqual([openAllow("s", 0)]);
  });
  storeTest(
    "an ALLOW that was closed stays closed when its append is repeated",
    async ({ store }) => {
      await store.append(allow("s", 0));
      await store.append(outcome("s", 1, hashOf(allow("s", 0))));
      expect(await store.append(allow("s", 0))).toBe("won");
      expect(await store.append(outcome("s", 1, hashOf(allow("s", 0))))).toBe("won");
      expect(await Array.fromAsync(store.openAllows())).toEqual([]);
    },
  );
  storeTest("many are listed, each once", async ({ store }) => {
    const names = Array.from({ length: 1_200 }, (_, index) => `s${index}`);
    await Promise.all(names.map((name) => store.append(allow(name, 0))));
    const listed = await Array.fromAsync(store.openAllows());
    expect(listed.map(({ sequence_id }) => sequence_id).toSorted()).toEqual(names.toSorted());
  });
}

function raceTests(storeTest: StoreTest, open: () => Promise<StoreFixture>): void {
  for (const [title, race, wins] of [
    ["one place, exactly one wins", raceForOnePlace, 1],
    ["one nonce, exactly one wins", raceForOneNonce, 1],
    [
      "one limit, in sequences of their own, exactly as many win as it has room for",
      raceForOneLimit,
      3,
    ],
  ] as const) {
    storeTest(`of 64 appends through one object for ${title}`, async ({ store }) => {
      for (let round = 0; round < 5; round++) {
        const report = await race({ stores: [store], sequenceId: `round-${round}` });
        expect(report).toMatchObject({ won: wins, violations: [] });
      }
    });
    storeTest(
      `of 64 appends through several objects for ${title}`,
      async ({ store, another }, context) => {
        if (another === undefined) return context.skip("this store is one object");
        const stores = [store, await another(), await another(), await another()];
        for (let round = 0; round < 5; round++) {
          const report = await race({ stores, sequenceId: `round-${round}` });
          expect(report).toMatchObject({ won: wins, violations: [] });
        }
      },
    );
  }
  test("in whatever order calls are made and answered, one nonce is burnt once and nobody's record is lost", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 2, max: 5 }),
        async (scheduler, racers) => {
          const { store, cleanup } = await open();
          const race = raceForOneNonce({
            stores: [scheduledStore(store, scheduler)],
            sequenceId: "s",
            racers,
          });
          expect(await scheduler.waitFor(race)).toMatchObject({ won: 1, violations: [] });
          await cleanup?.();
        },
      ),
      { numRuns: 40 },
    );
  });
  test("in whatever order three gates' calls are made and answered, each sequence is decided as if one after the other", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), submissions(), async (scheduler, asked) => {
        const { store, cleanup } = await open();
        expect(await runInterleaved(store, scheduler, asked)).toEqual([]);
        await cleanup?.();
      }),
      { numRuns: 40 },
    );
  });
}

function historyTests(open: () => Promise<StoreFixture>): void {
  test("the store answers as the model does", async () => {
    await fc.assert(
      fc.asyncProperty(storeCommands(), async (commands) => {
        const { store, reopen, cleanup } = await open();
        await fc.asyncModelRun(
          () => ({
            model: emptyModel(),
            real: { store, ...(reopen === undefined ? {} : { reopen }) },
          }),
          commands,
        );
        await cleanup?.();
      }),
      { numRuns: 60 },
    );
  });
  test("a burst of appends in one turn leaves what its answers say", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(burstArbitrary(), { minLength: 2, maxLength: 30 }),
        async (appends) => {
          const { store, cleanup } = await open();
          await checkBurst(store, appends);
          await cleanup?.();
        },
      ),
      { numRuns: 60 },
    );
  });
}

/** The order within a burst is the store's; whichever it was, the winners must make the log, and nothing else. */
async function checkBurst(store: Store, appends: readonly Append[]): Promise<void> {
  const answers = await Promise.all(appends.map((request) => store.append(request)));
  const log = await Array.fromAsync(store.lines());
  const winners = appends.filter((_, index) => answers[index] === "won");
  const model = emptyModel();
  expect(unexplained(model, winners, log)).toEqual([]);
  expect(model.log.map(({ record }) => record.line).toSorted()).toEqual(log.toSorted());
  for (const name of ["s", "t"])
    expect(await store.read(name, 0)).toEqual(chainOf(model, name).map(({ line }) => line));
  expect(await store.counters(["c"])).toEqual(toldOf(model.counts));
  expect(answers).not.toContain("unknown");
  expect(winners.length > 0).toBe(
    appends.some((request) => modelAppend(emptyModel(), request) === "won"),
  );
}

/** Replays winners in the order of the log, then those that repeated what several others had written. */
function unexplained(model: StoreModel, winners: readonly Append[], log: readonly string[]) {
  const place = ({ records }: Append): number => log.indexOf(records[0].line);
  let left = winners.toSorted((a, b) => place(a) - place(b) || b.records.length - a.records.length);
  for (let before = -1; left.length !== before;) {
    before = left.length;
    left = left.filter((winner) => modelAppend(model, winner) !== "won");
  }
  return left;
}

function burstArbitrary(): fc.Arbitrary<Append> {
  const nonce = fc.constantFrom(undefined, "n", "m", "o");
  return fc
    .record({
      name: fc.constantFrom("s", "t"),
      start: fc.nat(4),
      contents: fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 2 }),
      nonce,
    })
    .map(({ name, start, contents, nonce: burnt }) => ({
      ...append(
        name,
        ...contents.map((content, index) => [start + index, content, burnt] as const),
      ),
      counters: counting("c", `0.${contents.length}`, "0.5"),
    }));
}

const OPENS = { gate_id: "gate-1", expires_ms: 1_800_000_000_000 };

/** The grammar's extremes, what bites plain objects, SQL and folding of case or Unicode, and the log's own chain. */
const HOSTILE_NAMES: readonly string[] = [
  "a",
  "A",
  "@log",
  "constructor",
  "toString",
  "__proto__",
  "hasOwnProperty",
  "a/../b",
  "a:b",
  "a.b",
  "a-b",
  "a@b/c:d",
  "0",
  "00",
  "x".repeat(199),
  "x".repeat(200),
  `${"x".repeat(199)}X`,
  "é",
  "e\u0301",
  "ｅ",
  "е",
  "s\u200b",
  "s",
  "'; DROP TABLE record; --",
  "%",
  "_",
  "{s}",
];

const HOSTILE_NONCES: readonly string[] = [
  "n",
  "N",
  " n",
  "n ",
  " ",
  "  ",
  "~",
  "!",
  '"',
  "'",
  "\\",
  "%",
  "_",
  "{}",
  "*",
  "__proto__",
  "constructor",
  "0",
  "00",
  "-0",
  "1",
  "1.0",
  "n".repeat(199),
  "n".repeat(200),
  "'; DROP TABLE record; --",
];

type Place = readonly [seq: number, content: string, nonce?: string | undefined];

function append(sequenceId: string, ...places: readonly Place[]): Append {
  const [first, ...rest] = places.map(([seq, content, nonce]) =>
    sampleRecord(
      sequenceId,
      seq,
      content,
      nonce === undefined ? {} : { nonce: `${nonce}${seq % 2}` },
    ),
  );
  if (first === undefined) throw new TypeError("an append has at least one record");
  return { sequence_id: sequenceId, records: [first, ...rest] };
}

function one(sequenceId: string, seq: number, content: string): Append {
  return append(sequenceId, [seq, content]);
}

function burning(sequenceId: string, seq: number, nonce: string): Append {
  return {
    sequence_id: sequenceId,
    records: [sampleRecord(sequenceId, seq, "burns a nonce", { nonce })],
  };
}

function allow(sequenceId: string, seq: number): Append {
  return {
    sequence_id: sequenceId,
    records: [sampleRecord(sequenceId, seq, "allow", { opens: OPENS })],
  };
}

function outcome(sequenceId: string, seq: number, closes: string): Append {
  return {
    sequence_id: sequenceId,
    records: [sampleRecord(sequenceId, seq, "outcome", { closes })],
  };
}

function openAllow(sequenceId: string, seq: number) {
  return { sequence_id: sequenceId, hash: hashOf(allow(sequenceId, seq)), ...OPENS };
}

function hashOf({ records: [first] }: Append): string {
  return first.hash;
}

function linesOf({ records }: Append): readonly string[] {
  return records.map(({ line }) => line);
}
