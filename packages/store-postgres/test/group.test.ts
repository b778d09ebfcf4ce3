/** Group commit by itself: what it leaves behind. */
import { expect, test } from "vitest";
import { group } from "../src/group.ts";

test("once all calls are answered no timer keeps the process alive", async () => {
  const echo = group<string, string>({
    run: async (batch) => batch,
    timeoutMs: 60_000,
    lanes: 2,
    sizeOf: () => 1,
  });
  const before = timers();
  const answers = ["a", "b"].map((call) => echo.submit(call));
  expect(timers()).toBe(before + 1);
  expect(await Promise.all(answers)).toEqual(["a", "b"]);
  expect(timers()).toBe(before);
});

function timers(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length;
}
