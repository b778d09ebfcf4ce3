/** Hints name what was probably meant, and nothing else. */
import { describe, expect, test } from "vitest";
import { didYouMean } from "../src/spelling.ts";

describe("did you mean", () => {
  test.each([
    ["exection", ["execution", "intake"], "execution"],
    ["intkae", ["intake"], "intake"],
    ["sealon", ["sealOn", "seal"], "sealOn"],
    ["WRITE_BD", ["WRITE_DB", "WRITE_AB"], "WRITE_DB"],
    ["A", ["a", "b"], "a"],
    ["stp", ["step", "stop"], "step"],
    ["b", ["a", "c"], undefined],
    ["ab", ["ac"], undefined],
    ["refund", ["lookup"], undefined],
    ["refund", [], undefined],
    ["x".repeat(65), ["x".repeat(64)], undefined],
  ])("%s among %j: %s", (name, known, expected) => {
    expect(didYouMean(name, known)?.hint).toBe(
      expected === undefined ? undefined : `did you mean '${expected}'?`,
    );
  });
});
