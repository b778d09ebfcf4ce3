/** What people and programs wrote, read strictly, with every fault at its place. */
import { Readable } from "node:stream";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readJson, readLines, readText } from "../src/reading.ts";
import { temporaryFolder } from "./binary.ts";

describe("JSON", () => {
  test.each([
    ["", "1:1: not JSON"],
    ["{", "1:2: not JSON"],
    ['{"a":1,}', "1:8: not JSON"],
    ['{"a":1\n "b":2}', "2:2: not JSON"],
    ["[1,2", "1:5: not JSON"],
    ["[1 2]", "1:4: not JSON"],
    ["[1}", "1:3: not JSON"],
    ['{"a":}', "1:6: not JSON"],
    ["01", "1:2: not JSON"],
    ["1 1", "1:3: not JSON"],
    ["'a'", "1:1: not JSON"],
    ['"tab\there"', "1:1: not JSON"],
    ['"\\x"', "1:1: not JSON"],
    ["\u00a0{}", "1:1: not JSON"],
    ["{}\u00a0", "1:3: not JSON"],
    ["nul", "1:1: not JSON"],
    ['{\n  "a": 1,\n  "a": 2\n}', "3:3: a: a member stands twice"],
    ['{"a":1,"\\u0061":2}', "1:8: a: a member stands twice"],
    ['{"a":{"b":1},"c":{"b":1,"b":1}}', "1:25: b: a member stands twice"],
    ['{"n": 9007199254740993}', "1:7: an integer beyond"],
    ["[1e400]", "1:2: Infinity"],
    ["[1.5e17]", "1:2: an integer beyond"],
    ['["\\ud800"]', "1:2: a lone surrogate"],
  ])("%j is refused at its place", (text, message) => {
    expect(() => readJson(text, "r.json")).toThrow(`r.json:${message}`);
  });

  test("a line of JSONL is named by its number in the file", () => {
    expect(() => readJson("[}", "r.jsonl", 7)).toThrow("r.jsonl:7:2: not JSON");
  });

  test("what exceeds a limit is refused, at the place where it does", () => {
    expect(() => readJson("[[[1]]]", "r.json", 1, { depth: 2 })).toThrow(
      /^r\.json:1:3: .*deeper than 2/,
    );
  });

  test("of a text far too long the beginning is named, at once", () => {
    const text = `["${"a".repeat(50_000_000)}",}`;
    const limits = { bytes: 1024 };
    expect(() => readJson(text, "r.json", 1, limits)).toThrow(/^r\.json:1:1: larger than 1024/);
    expect(() => readJson(text, "r.json")).toThrow(/^r\.json:1:1: not JSON/);
  });
});

describe("text", () => {
  test("must be UTF-8", async () => {
    const folder = temporaryFolder();
    await expect(readText(join(folder, "none"))).rejects.toThrow(
      `${join(folder, "none")}: no such file or folder`,
    );
    await expect(readText(folder)).rejects.toThrow(`${folder}: is a folder`);
    const { writeFileSync } = await import("node:fs");
    writeFileSync(join(folder, "latin1"), Buffer.from([0xe9]));
    await expect(readText(join(folder, "latin1"))).rejects.toThrow("latin1: is not UTF-8 text");
  });
});

describe("lines", () => {
  const linesOf = async (chunks: readonly Buffer[]): Promise<readonly string[]> => {
    const lines: string[] = [];
    for await (const { number, bytes } of readLines(Readable.from(chunks), "in"))
      lines.push(`${number}:${Buffer.from(bytes).toString()}`);
    return lines;
  };

  test("are the same however the bytes arrive", async () => {
    const text = Buffer.from("one\n\nthrée\nlast");
    for (let size = 1; size <= text.length; size++) {
      const chunks = Array.from({ length: Math.ceil(text.length / size) }, (_, n) =>
        text.subarray(n * size, n * size + size),
      );
      expect(await linesOf(chunks)).toEqual(["1:one", "2:", "3:thrée", "4:last"]);
    }
  });

  test("a line feed at the end begins no further line", async () => {
    expect(await linesOf([Buffer.from("a\n")])).toEqual(["1:a"]);
    expect(await linesOf([])).toEqual([]);
    expect(await linesOf([Buffer.from("\n")])).toEqual(["1:"]);
  });

  test("one without an end is refused before it fills the memory", async () => {
    let taken = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) {
        taken++;
        yield Buffer.alloc(1024 * 1024, 0x61);
      }
    }
    const read = async (): Promise<void> => {
      for await (const _ of readLines(endless(), "in")) expect.unreachable();
    };
    await expect(read()).rejects.toThrow(/^in:1:1: is longer than 4194304 bytes/);
    expect(taken).toBeLessThan(10);
  });
});
