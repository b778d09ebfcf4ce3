/** Lists of tools as frameworks print them, and every fault in one at its place with the fix. */
import { describe, expect, test } from "vitest";
import { PolicyError, readTools } from "../src/index.ts";

const SCHEMA = { type: "object", properties: { n: { type: "number" } } };

describe("a list is read", () => {
  const tool = { name: "get/x", description: "d", parameters: SCHEMA };
  test.each([
    ["plainly", [tool]],
    ["as OpenAI prints it", [{ type: "function", function: tool }]],
    ["as OpenAI's Responses print it", [{ type: "function", strict: true, ...tool }]],
    ["as Anthropic prints it", [{ name: "get/x", description: "d", input_schema: SCHEMA }]],
    [
      "as MCP lists it",
      { tools: [{ name: "get/x", description: "d", inputSchema: SCHEMA, annotations: {} }] },
    ],
    ["as LangChain's tools are", [{ name: "get/x", description: "d", schema: SCHEMA }]],
    ["under tools", { tools: [tool] }],
  ])("%s", (_, list) => {
    expect(readTools(JSON.stringify(list, null, "\t"))).toEqual([tool]);
  });

  test("with action types, and with nothing but a name", () => {
    expect(
      readTools(`[{"name":"a","action_type":"PAY"},{"name":"b","parameters":null},
        {"type":"function","action_type":"READ","function":{"name":"c"}}]`),
    ).toEqual([
      { name: "a", action_type: "PAY" },
      { name: "b" },
      { name: "c", action_type: "READ" },
    ]);
  });
});

describe("a fault is reported at its place, with the fix", () => {
  test.each([
    ["[", "1:2: not JSON"],
    [`[{"name": "a",}]`, "1:15: not JSON"],
    [`{}`, "1:1: must be a list of tools; write [{ name, description,"],
    [`[]`, "1:1: lists no tools; write [{ name"],
    [`{"tools": []}`, "1:11: lists no tools"],
    [`[1]`, "1:2: a tool must be an object; write [{ name"],
    [`[{}]`, "1:2: a tool without a name; write [{ name"],
    [`[{ "nmae": "x" }]`, "1:2: a tool without a name; did you mean 'name' where it says 'nmae'?"],
    [`[{ "name": "a b" }]`, "1:12: 'a b' cannot be the name of a tool; rename it: 1 to 128 of"],
    [
      `[{ "name": "constructor" }]`,
      "1:12: 'constructor' cannot be the name of a tool; rename it: no",
    ],
    [`[{"name": "a"},\n {"name": "a"}]`, "2:11: the tool 'a' stands twice; leave one out"],
    [`[{"name": "a", "parameters": []}]`, "1:30: must be a JSON Schema; such as {"],
    [`[{"name": "a", "action_type": "x y"}]`, "1:31: must be the name of an action type; 1 to 128"],
    [`[{"name": "a", "name": "b"}]`, "1:16: name: a member stands twice"],
    [
      `[{"name":"a","parameters":{"maximum":9223372036854775807}}]`,
      "1:38: an integer beyond ±(2^53 − 1) loses digits; leave such a bound out",
    ],
    [
      `[{"name":"a","parameters":{"properties":{"__proto__":{}}}}]`,
      "1:42: '__proto__' is not allowed as a key",
    ],
  ])("%s", (text, message) => {
    expect(() => readTools(text, { file: "tools.json" })).toThrow(PolicyError);
    expect(() => readTools(text, { file: "tools.json" })).toThrow(`tools.json:${message}`);
  });

  test("all of them at once", () => {
    const faults = `[{"name": "a b"},\n1,\n{"name": "a", "parameters": 5}]`;
    expect(() => readTools(faults)).toThrow(/^policy:1:11: .*\npolicy:2:1: .*\npolicy:3:29: /);
  });
});
