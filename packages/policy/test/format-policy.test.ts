/** The one layout of a policy: the same policy, every comment at what it stood at, and nothing to do a second time. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import {
  formatPolicy,
  parsePolicy,
  PolicyError,
  policyJsonSchema,
  policyTests,
} from "../src/index.ts";
import { PAYMENTS } from "./payments.ts";
import { choices, nested, text, writeYaml } from "./arbitrary-yaml.ts";

/** `STEPGATE_CASES=10000` tries more. */
const RUNS = Number(process.env["STEPGATE_CASES"] ?? 250);

/** The comments of a text whose strings hold no `#`. */
function commentsOf(written: string): readonly string[] {
  return [...written.matchAll(/(?:^|\s)(#\d+(?: (?:before|beside) [\w.]+)?)$/gm)].map(
    ([, comment]) => comment ?? "",
  );
}

const quiet = nested.filter((value) => !JSON.stringify(value).includes("#"));

const PAGE =
  "schema id version sequence functions tools constraints forbid agents sealOn freshness lifetime tests".split(
    " ",
  );

test("a file of tests says first which policy it is about", () => {
  expect(formatPolicy("tests: []\npolicy: ./payments.yaml\n")).toBe(
    "policy: ./payments.yaml\ntests: []\n",
  );
});

describe("laws", () => {
  test("what is read is what was written, whatever the strings and the style", () => {
    fc.assert(
      fc.property(nested, choices, (value, chosen) => {
        const formatted = formatPolicy(writeYaml(value, chosen).text);
        expect(parse(formatted)).toEqual(value);
      }),
      { numRuns: RUNS },
    );
  });

  test("a second time changes nothing, also as JSON", () => {
    fc.assert(
      fc.property(nested, choices, (value, chosen) => {
        const once = formatPolicy(writeYaml(value, chosen).text);
        expect(formatPolicy(once)).toBe(once);
        const json = formatPolicy(JSON.stringify(value), "p.json");
        expect(formatPolicy(json, "p.json")).toBe(json);
        expect(JSON.parse(json)).toEqual(value);
      }),
      { numRuns: RUNS },
    );
  });

  test("every comment is there exactly once, and in its order within an entry", () => {
    fc.assert(
      fc.property(quiet, choices, (value, chosen) => {
        const { text: written, comments } = writeYaml(value, chosen);
        const found = commentsOf(formatPolicy(written));
        expect(found.toSorted()).toEqual(comments.toSorted());
      }),
      { numRuns: RUNS },
    );
  });

  test("every comment stays at its entry", () => {
    let checked = 0;
    fc.assert(
      fc.property(quiet, choices, (value, chosen) => {
        const lines = formatPolicy(writeYaml(value, chosen).text).split("\n");
        for (const [index, line] of lines.entries()) {
          const [, where, key = ""] = /#\d+ (before|beside) (k\d+)$/.exec(line) ?? [];
          if (where === undefined) continue;
          checked += 1;
          const at = line.trim().startsWith("#")
            ? lines.slice(index).find((next) => !/^\s*(?:#.*)?$/.test(next))
            : line;
          expect(at).toMatch(new RegExp(`^[ [{-]*${key}: ?`));
        }
      }),
      { numRuns: RUNS },
    );
    expect(checked).toBeGreaterThan(RUNS);
  });

  test("no line is longer than 100 columns that could be shorter", () => {
    fc.assert(
      fc.property(quiet, (value) => {
        for (const line of formatPolicy(JSON.stringify(value), "p.yaml").split("\n"))
          if (line.length > 100) expect(line).toMatch(/^[ -]*(?:k\d+: )?[^[{]/);
      }),
    );
  });
});

describe("a policy", () => {
  const OPTIONAL = ["freshness", "lifetime", "sealOn", "tests"] as const;
  const names = ["a", "b", "c", "d"] as const;
  const actions = fc.uniqueArray(fc.constantFrom("X", "Y", "1.0", "null", "on:off"), {
    minLength: 1,
  });
  const policy = fc
    .record({
      steps: fc.subarray([...names], { minLength: 1 }),
      actions,
      tool: fc.constantFrom("get/x", "t.1", "null"),
      version: text.filter((label) => /^[^\p{Cc}]{1,200}$/u.test(label) && label.isWellFormed()),
      args: nested,
      extra: fc.subarray([...OPTIONAL]),
    })
    .map(({ steps, actions: list, tool, version, args, extra }) => {
      const all: Readonly<Record<string, unknown>> = {
        lifetime: 1500,
        tests: [
          { calls: [{ expect: "ALLOW", args, tool }], name: "t" },
          { name: version, calls: [{ tool, expect: "NO_POLICY_MATCH" }] },
        ],
        functions: Object.fromEntries(
          steps.map((name, n) => [
            name,
            n === steps.length - 1 ? { actions: [...list, "SEAL"] } : list,
          ]),
        ),
        sealOn: ["SEAL"],
        version,
        sequence: steps.length % 2 === 0 ? steps : steps.join(" , "),
        schema: "stepgate.policy/1",
        tools: { [tool]: { action: list[0], function: steps[0] } },
        freshness: "90s",
        id: "x",
      };
      const optional: readonly string[] = OPTIONAL;
      const taken: readonly string[] = extra;
      return Object.fromEntries(
        Object.entries(all).filter(([name]) => taken.includes(name) || !optional.includes(name)),
      );
    });

  test("keeps its digest and its tests, and its members are in the order of the page", () => {
    fc.assert(
      fc.property(policy, choices, (value, chosen) => {
        const { text: written } = writeYaml(value, chosen);
        const before = parsePolicy(written);
        const formatted = formatPolicy(written);
        const after = parsePolicy(formatted);
        expect(after.digest).toBe(before.digest);
        expect(policyTests(after)).toEqual(policyTests(before));
        const members = Object.keys(parse(formatted) as object);
        expect(members).toEqual(PAGE.filter((name) => members.includes(name)));
        expect(parsePolicy(formatPolicy(JSON.stringify(value))).digest).toBe(before.digest);
      }),
      { numRuns: RUNS },
    );
  });

  test("has no member that the order forgets", () => {
    const { properties } = policyJsonSchema() as { readonly properties: object };
    expect(Object.keys(properties).toSorted()).toEqual(PAGE.toSorted());
  });
});

describe("the layout", () => {
  const layout = (name: string): string =>
    readFileSync(new URL(`layouts/${name}`, import.meta.url), "utf8");

  test("of the page's example, word for word", () => {
    expect(formatPolicy(PAYMENTS)).toBe(layout("payments.yaml"));
    expect(parsePolicy(layout("payments.yaml")).digest).toBe(parsePolicy(PAYMENTS).digest);
  });

  test("of a policy that is out of order, in many styles", () => {
    expect(formatPolicy(layout("shuffled.in.txt"))).toBe(layout("shuffled.yaml"));
    expect(formatPolicy(layout("shuffled.yaml"))).toBe(layout("shuffled.yaml"));
  });
});

describe("JSON", () => {
  const value = { version: "1", id: "x", functions: { a: { actions: ["X"], step: "a" } }, n: 1.5 };
  const formatted = `{
  "id": "x",
  "version": "1",
  "functions": {
    "a": { "step": "a", "actions": ["X"] }
  },
  "n": 1.50
}
`;
  const written = JSON.stringify(value).replace("1.5", "1.50");

  test("stays JSON, with the spelling of its numbers, by the name of the file or by what it is", () => {
    expect(formatPolicy(written, "p.json")).toBe(formatted);
    expect(formatPolicy(written)).toBe(formatted);
  });

  test("becomes YAML in a file of that name", () => {
    expect(formatPolicy(written, "p.yaml")).toBe(
      `id: x\nversion: "1"\nfunctions:\n  a: { step: a, actions: [X] }\nn: 1.50\n`,
    );
  });

  test("must be what a file of that name holds", () => {
    expect(() => formatPolicy(`{ "id": "x",\n  # why\n "n": 1 }`, "p.json")).toThrow(
      /^p\.json:2:3: /,
    );
  });
});

describe("what cannot be read is refused at its place", () => {
  test.each([
    ["a: [1\nb: 2", /^p\.yaml:2:1: /],
    ["id: x\nid: y", /^p\.yaml:2:1: 'id' stands twice$/],
    ["id: &x y", /^p\.yaml:1:5: anchors are not allowed$/],
    ["id: x\n---\nid: y", /^p\.yaml:\d+:\d+: a file holds one document/],
    ["- id", /^p\.yaml:1:1: a policy must be an object$/],
    ["# nothing", /^p\.yaml:1:1: the document is empty$/],
  ])("%j", (written, message) => {
    expect(() => formatPolicy(written, "p.yaml")).toThrow(PolicyError);
    expect(() => formatPolicy(written, "p.yaml")).toThrow(message);
  });

  test("and what is no text is a mistake of the program", () => {
    expect(() => formatPolicy(undefined as unknown as string)).toThrow(TypeError);
  });
});

test("a text of a mebibyte is laid out in seconds, deep ones too", () => {
  const wide = `tools: {${"t".repeat(5)}: {a: [1, 2]}${Array.from({ length: 20_000 }, (_, n) => `, t${n}: {a: [1]}`).join("")}}`;
  expect(formatPolicy(wide).split("\n")).toHaveLength(20_003);
  const deep = `a: ${"[".repeat(200)}1${"]".repeat(200)}`;
  expect(formatPolicy(formatPolicy(deep))).toBe(formatPolicy(deep));
});
