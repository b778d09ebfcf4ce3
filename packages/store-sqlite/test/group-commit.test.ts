/** Appends of one turn share a commit, and nobody is answered before it. */
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { GateError } from "@stepgate/core";
import { expect, onTestFinished, test } from "vitest";
import { sampleRecord } from "@stepgate/contract";
import type { LogStatements } from "../src/append-records.ts";
import { connect } from "../src/connection.ts";
import { groupCommit } from "../src/group-commit.ts";
import { sharedNow } from "../src/patience.ts";
import { newLog, one } from "./new-log.ts";

test("what is appended in one turn is committed at once, and answered only then", async () => {
  const { path, open } = newLog();
  const store = open();
  const observed = observer(path);
  const seen: number[] = [];
  const appends = Array.from({ length: 64 }, async (_, index) => {
    const answer = await store.append(one(`s${index}`, 0));
    seen.push(observed.records());
    return answer;
  });
  expect(observed.records()).toBe(0);
  expect(new Set(await Promise.all(appends))).toEqual(new Set(["won"]));
  expect(new Set(seen)).toEqual(new Set([64]));
});

test("work that is submitted by the answer to earlier work is done", async () => {
  const connection = connect(newLog().path);
  const commits = groupCommit(connection);
  for (let round = 0; round < 5; round++)
    expect(await commits.submit(() => round, sharedNow() + 100)).toBe(round);
  await commits.drained();
  connection.close();
});

test("work that fails undoes everything of its turn, lets go of the lock, and what comes after is done", async () => {
  const { path } = newLog();
  const connection = connect(path);
  const commits = groupCommit(connection);
  const expires = sharedNow() + 5_000;
  const insert = (n: number) => (log: LogStatements) => log.settle.run(`n${n}`, "set");
  const fault = new Error("a fault on the way");
  const fail = (): never => {
    throw fault;
  };
  const turn = await Promise.allSettled([
    commits.submit(insert(1), expires),
    commits.submit(fail, expires),
    commits.submit(insert(2), expires),
  ]);
  expect(turn).toEqual(Array(3).fill({ status: "rejected", reason: fault }));
  lock(path)();
  await commits.submit(insert(3), expires);
  const { database } = connection.log();
  expect(database.prepare("SELECT name FROM setting").all()).toEqual([{ name: "n3" }]);
  connection.close();
});

test("while another process holds the lock an append waits, without holding up the event loop", async () => {
  const { path, open } = newLog();
  const store = open({ busyTimeoutMs: 5_000 });
  const release = lock(path);
  let turns = 0;
  const ticker = setInterval(() => turns++, 5);
  const append = store.append(one("s", 0));
  await sleep(100);
  expect(turns).toBeGreaterThan(5);
  release();
  expect(await append).toBe("won");
  clearInterval(ticker);
});

test("an append that waited too long for the lock is unknown and unwritten, and the store goes on", async () => {
  const { path, open } = newLog();
  const store = open({ busyTimeoutMs: 50 });
  const release = lock(path);
  const answers = await Promise.all([store.append(one("s", 0)), store.append(one("t", 0))]);
  expect(answers).toEqual(["unknown", "unknown"]);
  release();
  expect(await store.read("s", 0)).toEqual([]);
  expect(await store.append(one("s", 0))).toBe("won");
});

test("each append waits for its own time, not for that of the first in the queue", async () => {
  const { path, open } = newLog();
  const store = open({ busyTimeoutMs: 1_000 });
  const release = lock(path);
  const first = store.append(one("s", 0));
  await sleep(600);
  const second = store.append(one("t", 0));
  expect(await first).toBe("unknown");
  release();
  expect(await second).toBe("won");
});

test("while another process holds the lock, reads see what was committed", async () => {
  const { path, open } = newLog();
  const store = open({ busyTimeoutMs: 50 });
  await store.append(one("s", 0));
  await store.setting("log_id", "kept");
  const release = lock(path);
  expect(await store.read("s", 0)).toHaveLength(1);
  expect(await store.setting("log_id", "other")).toBe("kept");
  const failed = await Promise.allSettled([
    store.setting("mode", "enforce"),
    store.keep([{ digest: "d", text: "t" }]),
  ]);
  release();
  for (const outcome of failed) {
    expect(
      outcome.status === "rejected" && GateError.isInstance(outcome.reason) && outcome.reason.code,
    ).toBe("STORE_UNAVAILABLE");
  }
  expect(await store.setting("mode", "shadow")).toBe("shadow");
});

test("a malformed append is refused, and those of the same turn are not held up", async () => {
  const store = newLog().open();
  const record = sampleRecord("bad", 0, "record");
  const malformed = [
    { ...record, line: `{"text":"${"\ud800"}"}` },
    { ...record, nonce: "n\udc00" },
    { ...record, seq: 0.5 },
    { ...record, seq: -1 },
    { ...record, seq: 2 ** 53 },
    { ...record, line: undefined as unknown as string },
    { ...record, opens: { gate_id: "g", expires_ms: Number.NaN } },
  ];
  const answers = await Promise.allSettled([
    store.append(one("s", 0)),
    ...malformed.map((bad) => store.append({ sequence_id: "bad", records: [bad] })),
    store.append({ sequence_id: "bad\ud800", records: [record] }),
    store.keep([{ digest: "d", text: "\ud800" }]),
    store.append(one("t", 0)),
  ]);
  expect([answers.at(0), answers.at(-1)]).toEqual(
    Array(2).fill({ status: "fulfilled", value: "won" }),
  );
  for (const answer of answers.slice(1, -1))
    expect(answer.status === "rejected" && answer.reason).toBeInstanceOf(TypeError);
  expect(await store.read("bad", 0)).toEqual([]);
});

test("closing writes what was appended, and refuses what comes after", async () => {
  const { open } = newLog();
  const store = open();
  const appends = [store.append(one("s", 0)), store.append(one("t", 0))];
  await store.close();
  await store.close();
  expect(await Promise.all(appends)).toEqual(["won", "won"]);
  for (const late of [
    () => store.append(one("u", 0)),
    () => store.read("s", 0),
    () => store.keep([]),
    () => store.document("d"),
  ]) {
    const outcome = await late().then(String, (error: unknown) =>
      GateError.isInstance(error) ? error.code : error,
    );
    expect(outcome).toBe("STORE_UNAVAILABLE");
  }
  expect(await open().read("s", 0)).toHaveLength(1);
});

test("a listing ends where the log ended when it was begun, however much is written meanwhile", async () => {
  const store = newLog().open();
  await Promise.all(Array.from({ length: 600 }, (_, index) => store.append(one(`s${index}`, 0))));
  let listed = 0;
  for await (const line of store.lines()) {
    expect(line).toContain("record");
    if (listed++ % 100 === 0) await store.append(one(`late ${listed}`, 0));
  }
  expect(listed).toBe(600);
  expect(await Array.fromAsync(store.lines())).toHaveLength(606);
});

/** Another connection, as another process would have it. */
function observer(path: string): { records(): number } {
  const database = new DatabaseSync(path);
  const count = database.prepare("SELECT count(*) AS n FROM record");
  onTestFinished(() => database.close());
  return { records: () => Number(count.get()?.["n"]) };
}

function lock(path: string): () => void {
  const database = new DatabaseSync(path);
  database.exec("BEGIN IMMEDIATE");
  return () => {
    database.exec("ROLLBACK");
    database.close();
  };
}
