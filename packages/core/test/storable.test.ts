/** What cannot be kept exactly is refused by name before it reaches a store's engine. */
import { type Append, type Indexing, mustBeIndexing, mustBeStorable } from "@stepgate/core";
import { describe, expect, test } from "vitest";

const record = { seq: 0, hash: `sha256:${"0".repeat(64)}`, line: "{}" };
const append: Append = { sequence_id: "s", records: [record] };
const step = { counter: "c", add: "1", max: "2", at_ms: 1, until_ms: 2 };
const hash = "0".repeat(64);
const indexing: Indexing = {
  size: 0,
  leaves: [{ sequence_id: "s", seq: 0, hash }],
  nodes: [{ level: 1, index: 0, hash }],
};

describe("an append", () => {
  test("that is sound is let through", () => {
    const opens = { gate_id: "g", expires_ms: 1 };
    const full = { ...record, nonce: "n", opens, closes: record.hash };
    const documents = [{ digest: "d", text: "" }];
    mustBeStorable({ sequence_id: "s", records: [full], documents, counters: [step] });
  });
  test.each<[string, Append, string]>([
    ["a lone surrogate in a name", { ...append, sequence_id: "\ud800" }, "well-formed text"],
    ["one in a line", { ...append, records: [{ ...record, line: "\udc00" }] }, "well-formed text"],
    ["one in a nonce", { ...append, records: [{ ...record, nonce: "\ud800" }] }, "well-formed"],
    [
      "one in a document",
      { ...append, documents: [{ digest: "d", text: "\ud800" }] },
      "well-formed text",
    ],
    ["a place below 0", { ...append, records: [{ ...record, seq: -1 }] }, "seq must be"],
    ["a place between two", { ...append, records: [{ ...record, seq: 0.5 }] }, "seq must be"],
    [
      "an end that is no time",
      { ...append, records: [{ ...record, opens: { gate_id: "g", expires_ms: Number.NaN } }] },
      "expires_ms must be",
    ],
    ["no decimal", { ...append, counters: [{ ...step, add: "1e3" }] }, "isDecimal"],
    ["a window without an end", { ...append, counters: [{ ...step, until_ms: 1.5 }] }, "until_ms"],
  ])("with %s is refused", (_what, wrong, words) => {
    expect(() => mustBeStorable(wrong)).toThrow(words);
    expect(() => mustBeStorable(wrong)).toThrow(TypeError);
  });
});

describe("leaves and nodes", () => {
  test("that are sound are let through", () => mustBeIndexing(indexing));
  test.each<[string, Indexing, string]>([
    ["a size below 0", { ...indexing, size: -1 }, "size and seq"],
    [
      "a leaf's hash with a prefix",
      { ...indexing, nodes: [{ level: 1, index: 0, hash: record.hash }] },
      "64 hex",
    ],
    [
      "a node at the level of leaves",
      { ...indexing, nodes: [{ level: 0, index: 0, hash }] },
      "level from 1",
    ],
    [
      "a node between two places",
      { ...indexing, nodes: [{ level: 1, index: 0.5, hash }] },
      "index from 0",
    ],
  ])("with %s are refused", (_what, wrong, words) => {
    expect(() => mustBeIndexing(wrong)).toThrow(words);
  });
});
