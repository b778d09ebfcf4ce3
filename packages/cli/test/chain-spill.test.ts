/** Large files: what does not fit into memory waits in a temporary file, and what nobody could read is counted. */
import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateSigningKey } from "@stepgate/core";
import { describe, expect, test } from "vitest";
import { createSpill } from "../src/chain-spill.ts";
import { stepgate, temporaryFolder } from "./binary.ts";

describe("the spill", () => {
  test("keeps the last text of each chain, and tells all by their first lines", () => {
    const spill = createSpill();
    expect(spill.load("a")).toBeUndefined();
    spill.save("late", 9, "one");
    spill.save("early", 2, "two");
    spill.save("late", 9, "three \u00fc");
    expect([spill.load("late"), spill.load("early"), spill.load("none")]).toEqual([
      "three \u00fc",
      "two",
      undefined,
    ]);
    expect([...spill.all()]).toEqual([
      ["early", "two"],
      ["late", "three \u00fc"],
    ]);
    spill.close();
  });

  test("that nothing was put into has no file", () => {
    const spill = createSpill();
    expect([...spill.all()]).toEqual([]);
    spill.close();
  });

  test.runIf(process.platform === "linux")("has no name in any folder", () => {
    const spill = createSpill();
    for (let from = 1; from <= 30_000; from++) spill.save(`s${from}`, from, "x".repeat(1000));
    const open = readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)];
      } catch {
        return [];
      }
    });
    expect(open.filter((path) => path.includes("etilqs"))).toEqual([
      expect.stringMatching(/ \(deleted\)$/),
    ]);
    spill.close();
  });
});

describe("a file of more chains than may be at hand", () => {
  const SEQUENCES = 30_000;

  /** A line of each sequence, which is no record but has a place; then the same place of the first once more. */
  function largeFile(): { readonly folder: string; readonly args: readonly string[] } {
    const folder = temporaryFolder();
    const line = (n: number): string => `{"seq":0,"sequence_id":"s${n}"}\n`;
    const lines = Array.from({ length: SEQUENCES }, (_, n) => line(n));
    writeFileSync(join(folder, "r.jsonl"), [...lines, line(0)].join(""));
    const keys = { keys: [generateSigningKey().publicJwk] };
    writeFileSync(join(folder, "keys.json"), JSON.stringify(keys));
    return { folder, args: ["verify", "r.jsonl", "--keys", "keys.json"] };
  }

  test("is told to people in the first of each sort, and in figures", async () => {
    const { folder, args } = largeFile();
    const { code, stdout, stderr } = await stepgate(folder, args);
    expect(code).toBe(1);
    const errors = stderr.trimEnd().split("\n");
    expect(errors).toHaveLength(51);
    expect(errors[0]).toContain("r.jsonl:1:1: UNKNOWN_VERSION (s0 #0): ");
    expect(errors[50]).toBe("r.jsonl: 29,951 more findings; --json lists them all");
    const lines = stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(53);
    expect(lines[0]).toBe("INVALID    s0: 2 records; UNKNOWN_VERSION in line 1");
    expect(lines[50]).toBe("INVALID    and 29,950 more sequences; not sound");
    expect(lines[52]).toBe(
      "r.jsonl: 30,001 records, 30,000 sequences (30,000 INVALID): INVALID, 30,001 findings",
    );
  });

  test("is told whole by --json, in the order of its lines", async () => {
    const { folder, args } = largeFile();
    const { stdout } = await stepgate(folder, [...args, "--json"]);
    const { findings, sequences, ...figures } = JSON.parse(stdout);
    expect(findings).toHaveLength(SEQUENCES + 1);
    expect(findings.at(-1)).toMatchObject({ sequence_id: "s0", line: SEQUENCES + 1 });
    expect(sequences).toHaveLength(SEQUENCES);
    expect(sequences[0]).toMatchObject({ sequence_id: "s0", records: 2, verdict: "INVALID" });
    expect(sequences.at(-1)).toMatchObject({ sequence_id: `s${SEQUENCES - 1}`, records: 1 });
    expect(figures).toMatchObject({
      records: SEQUENCES + 1,
      found: { UNKNOWN_VERSION: SEQUENCES + 1 },
      verdicts: { INVALID: SEQUENCES, OPEN: 0 },
      open_allows: 0,
      result: "invalid",
    });
  });
});
