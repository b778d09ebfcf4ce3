/** Deadlines: whoever waits has an answer in time, whatever the timers and the event loop do. */
import { describe, expect, test } from "vitest";
import { createDeadlines, type Deadline, isOver, withDeadline } from "../src/deadline.ts";

const MS = 60;
const hang = (): Promise<never> => new Promise(() => {});
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "done",
    (error: { readonly code?: unknown }) => error.code,
  );

describe("work of one length", () => {
  test("is given up each at its own time, in the order in which it began", async () => {
    const inTime = createDeadlines(MS);
    const began = new Map<number, number>();
    const over: { readonly work: number; readonly after: number }[] = [];
    const waiting: Promise<unknown>[] = [];
    for (const work of [0, 1, 2]) {
      began.set(work, performance.now());
      const note = (): void =>
        void over.push({ work, after: performance.now() - (began.get(work) ?? 0) });
      waiting.push(codeOf(inTime(hang, note)));
      await pause(MS / 4);
    }
    expect(await Promise.all(waiting)).toEqual(Array(3).fill("STORE_UNAVAILABLE"));
    expect(over.map(({ work }) => work)).toEqual([0, 1, 2]);
    for (const { after } of over) expect(after).toBeGreaterThanOrEqual(MS - 1);
  });

  test("that is done leaves what began before and after it waiting", async () => {
    const inTime = createDeadlines(MS);
    const [before, done, after] = [inTime(hang), inTime(async () => 1), inTime(hang)].map(codeOf);
    expect(await done).toBe("done");
    expect(await Promise.all([before, after])).toEqual(Array(2).fill("STORE_UNAVAILABLE"));
  });

  test("that begins when everything before it was given up has its whole time", async () => {
    const inTime = createDeadlines(MS);
    await codeOf(inTime(hang));
    const began = performance.now();
    expect(await codeOf(inTime(() => pause(MS / 3)))).toBe("done");
    expect(await codeOf(inTime(hang))).toBe("STORE_UNAVAILABLE");
    expect(performance.now() - began).toBeGreaterThanOrEqual(MS);
  });

  const ways: readonly (readonly [how: string, work: () => Promise<unknown>, answer: string])[] = [
    ["resolves", async () => 1, "done"],
    ["rejects", () => Promise.reject(Object.assign(new Error("no"), { code: "NO" })), "NO"],
    [
      "throws",
      () => {
        throw Object.assign(new Error("no"), { code: "NO" });
      },
      "NO",
    ],
    ["hangs", hang, "STORE_UNAVAILABLE"],
  ];

  test.each(ways)("that %s is over once", async (_how, work, answer) => {
    const over: Deadline[] = [];
    const inTime = createDeadlines(MS);
    expect(await codeOf(inTime(work, (deadline) => void over.push(deadline)))).toBe(answer);
    await pause(2 * MS);
    expect(over.map(({ abandoned }) => abandoned)).toEqual([answer === "STORE_UNAVAILABLE"]);
  });

  test("that ends after it was given up changes nothing", async () => {
    let end = (): void => {};
    const over: boolean[] = [];
    const work = (): Promise<void> => new Promise((resolve) => (end = resolve));
    const inTime = createDeadlines(MS);
    const answer = codeOf(inTime(work, ({ abandoned }) => void over.push(abandoned)));
    expect(await answer).toBe("STORE_UNAVAILABLE");
    end();
    expect(await codeOf(inTime(async () => 1))).toBe("done");
    expect(over).toEqual([true]);
  });
});

test("an event loop that was blocked is no reason to be late: the clock itself says so", async () => {
  const seen: boolean[] = [];
  const answer = withDeadline(MS, async (deadline) => {
    seen.push(isOver(deadline));
    for (const end = performance.now() + MS; performance.now() < end;);
    seen.push(isOver(deadline), deadline.abandoned);
  });
  expect(seen).toEqual([false, true, false]);
  await answer;
});

test("a process does not live on for the time that nobody needed", async () => {
  const before = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const inTime = createDeadlines(60_000);
  await Promise.all([inTime(async () => 1), inTime(async () => 2)]);
  const after = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  expect(after).toBe(before);
});
