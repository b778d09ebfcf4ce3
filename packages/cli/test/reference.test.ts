/** The reference of the language keeps its word: its examples load and pass, and its keys, codes and limits are those that there are. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DENY_CODES } from "@stepgate/core";
import { checkPolicy, parsePolicy, policyJsonSchema, policyTests } from "@stepgate/policy";
import { describe, expect, test } from "vitest";
import { playTests } from "../src/policy-tests.ts";

const folder = join(import.meta.dirname, "../../policy");
const reference = readFileSync(join(folder, "REFERENCE.md"), "utf8");
const HEADER = 'schema: stepgate.policy/1\nid: example\nversion: "1"\n';

/** By section, for the names of tests. */
const examples = reference.split(/^##+ /m).flatMap((section) =>
  [...section.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = ""]) => ({
    section: section.slice(0, section.indexOf("\n")),
    text: text.startsWith("schema:") ? text : HEADER + text,
  })),
);

describe("examples", () => {
  test("there is one for every part of the language", () => {
    expect(examples.length).toBeGreaterThanOrEqual(16);
    const texts = examples.map(({ text }) => text).join("");
    for (const key of writtenKeys(policyJsonSchema()))
      if (!key.includes(".")) expect(texts).toMatch(new RegExp(`\\b${key}:`));
  });

  test.each(examples)(
    "$section: loads without a finding, and passes its tests",
    async ({ text }) => {
      const { issues, warnings } = checkPolicy(text);
      expect([...issues, ...warnings]).toEqual([]);
      const policy = parsePolicy(text);
      const played = await playTests(policy, policyTests(policy));
      expect(played.length).toBeGreaterThan(0);
      expect(played.flatMap((one) => one.issues)).toEqual([]);
    },
  );
});

test("every key of the language has its row, and no row is of a key that does not exist", () => {
  const rows = rowsBelow("key").map(([key = ""]) => key.replaceAll("`", ""));
  expect(rows.toSorted()).toEqual([...writtenKeys(policyJsonSchema())].toSorted());
});

test("what is refused at its key is refused", () => {
  const refused = (text: string): boolean => checkPolicy(HEADER + text).issues.length > 0;
  const sound = "sequence: a\nfunctions: { a: [X] }\n";
  expect(refused(sound)).toBe(false);
  for (const text of [
    "sequence: a{0}\nfunctions: { a: [X] }\n",
    "sequence: a{3,1}\nfunctions: { a: [X] }\n",
    "sequence: a+\nfunctions: { a: [X] }\n",
    "sequence: a, b\nfunctions: { a: [X] }\n",
    "sequence: a\nfunctions: { a: [X], b: [X] }\n",
    `${sound}tools: { t: { function: b, action: X } }\n`,
    `${sound}tools: { t: { function: [a, a], action: X } }\n`,
    `${sound}tools: { t: { function: a, action: Y } }\n`,
    `${sound}tools: { t: { function: a, action: X, args: { type: string, format: email } } }\n`,
    `${sound}tools: { t: { function: a, action: X, args: { type: object, required: [n] } } }\n`,
    `${sound}tools: { t: { function: a, action: X, args: { pattern: a } } }\n`,
    `${sound}tools: { t: { function: a, action: X, args: { type: string, pattern: "(?=a)" } } }\n`,
    `${sound}tools: { t: { function: a, action: X, when: argz.n > 1 } }\n`,
    `${sound}tools: { t: { function: a, action: X, args: { type: object, properties: { n: {} }, additionalProperties: false }, when: args.m > 1 } }\n`,
    `${sound}tools: { t: { function: a, action: X, when: size(args.n) } }\n`,
    `${sound}tools: { t: { function: a, action: X, grounded: { n: [] } } }\n`,
    `${sound}tools: { t: { function: a, action: X, grounded: { n: [[007]] } } }\n`,
    `${sound}tools: { t: { function: a, action: X, grounded: { n: request } } }\n`,
    `${sound}tools: { t: { function: a, action: X, limits: { calls: { max: 1, per: agent } } } }\n`,
    `${sound}tools: { t: { function: a, action: X, approval: { by: [] } } }\n`,
    `${sound}tools: { t: { function: a, action: X, approval: { by: [r], count: 0 } } }\n`,
    `${sound}constraints: [{}]\n`,
    `${sound}constraints: [{ never: [{ step: a, tool: t }, a] }]\n`,
    `${sound}forbid: [{}]\n`,
    `${sound}forbid: [{ tools: [] }]\n`,
    `${sound}agents: { x: { functions: { a: [Y] } } }\n`,
    `${sound}sealOn: [Y]\n`,
  ])
    expect([text, refused(text)]).toEqual([text, true]);
});

test("every code has its row", () => {
  expect(rowsBelow("code").map(([code]) => code)).toEqual(DENY_CODES.map((code) => `\`${code}\``));
});

test.each(rowsBelow("of"))("a limit stands in the file that it names: %s, %s", (_, most, link) => {
  const file = /\]\((.*)\)/.exec(link ?? "")?.[1] ?? "";
  const written = most?.replaceAll(",", "_?") ?? "";
  expect(readFileSync(join(folder, file), "utf8")).toMatch(new RegExp(`\\b${written}\\b`));
});

/** The cells of all tables whose first column has this head. */
function rowsBelow(head: string): readonly (readonly string[])[] {
  const tables = reference.split("\n\n").filter((part) => part.startsWith(`| ${head} `));
  return tables.flatMap((table) =>
    table
      .trimEnd()
      .split("\n")
      .slice(2)
      .map((row) =>
        row
          .split("|")
          .slice(1, -1)
          .map((cell) => cell.trim()),
      ),
  );
}

interface SchemaPart {
  readonly properties?: Readonly<Record<string, SchemaPart>>;
  readonly additionalProperties?: SchemaPart | boolean;
  readonly items?: SchemaPart;
  readonly anyOf?: readonly SchemaPart[];
  readonly prefixItems?: readonly SchemaPart[];
}

/** The keys of the language as the reference writes them: conditions once, for tools and functions alike. */
function writtenKeys(schema: object): ReadonlySet<string> {
  const keys = [...keysOf(schema, "")];
  const own = /^(?:tools\.\*\.(?:function|action)|functions\.\*\.(?:actions|step))$/;
  return new Set(
    keys.map((key) => (own.test(key) ? key : key.replace(/^(?:tools|functions)\.\*\./, ""))),
  );
}

function* keysOf(part: SchemaPart, path: string): Generator<string> {
  for (const [key, member] of Object.entries(part.properties ?? {})) {
    yield path + key;
    yield* keysOf(member, `${path}${key}.`);
  }
  const { anyOf = [], items, prefixItems = [] } = part;
  for (const one of [...anyOf, ...prefixItems, ...(items === undefined ? [] : [items])])
    yield* keysOf(one, path);
  if (typeof part.additionalProperties === "object")
    yield* keysOf(part.additionalProperties, `${path}*.`);
}
