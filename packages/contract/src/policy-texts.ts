/** Texts of policies, sound ones and faulty ones, with calls for their conditions: what compilers must agree on. */
import { readFileSync } from "node:fs";
import type { Scope } from "@stepgate/core";
import type { PolicyCase } from "./policy-answer.ts";
import { LEVEL_ONE, LEVEL_TWO } from "./policy-cases.ts";

const read = (path: string): string =>
  readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");

/** All of them. */
export function policyTexts(): readonly PolicyCase[] {
  return [
    one("level one", LEVEL_ONE),
    one("level two", LEVEL_TWO),
    one("the guide's", read("examples/guide/policy.yaml")),
    one("the demo's", read("examples/demo/policy.yaml")),
    one("an order of many ends", wide()),
    one("conditions of every kind", CONDITIONS),
    ...SCHEMAS.map((schema) => one(`schema ${schema}`, withArgs(schema))),
    ...CEL.map((text) => one(`condition ${text}`, withWhen(text))),
    ...faulty(),
  ];
}

function one(name: string, text: string): PolicyCase {
  return { name, text, scopes: SCOPES };
}

/** An order whose states are many and alike, so that analysis merges them by their hashes. */
function wide(): string {
  const steps = Array.from({ length: 40 }, (_, i) => `s${i}`);
  const functions = Object.fromEntries(steps.map((step) => [step, ["READ_INPUT"]]));
  const sequence = `(${steps.join(" | ")}){1,3}, (${steps.slice(0, 20).join("?, ")}?), end`;
  const end = { end: ["SEAL_SEQUENCE"] };
  return policyWith({ sequence, functions: { ...functions, ...end }, sealOn: ["SEAL_SEQUENCE"] });
}

function policyWith(members: object): string {
  const base = {
    schema: "stepgate.policy/1",
    id: "texts",
    version: "1",
    sequence: "look, close",
    functions: { look: ["READ_INPUT"], close: ["SEAL_SEQUENCE"] },
  };
  return JSON.stringify({ ...base, ...members });
}

function withTool(conditions: object): string {
  return policyWith({ tools: { tool: { function: "look", action: "READ_INPUT", ...conditions } } });
}

/** The arguments of a tool are of this schema. */
function withArgs(properties: string): string {
  const text = withTool({ args: { type: "object", properties: { a: 0 } } });
  return text.replace('{"a":0}', properties);
}

const withWhen = (when: string): string => withTool({ when });

const CONDITIONS = `
schema: stepgate.policy/1
id: conditions
version: "1"
sequence: look+, send?, close
functions:
  look: { actions: [READ_INPUT], limits: { calls: 3 }, when: 'agent_id.startsWith("bot-") || tenant == "acme"' }
  send: [CALL_EXTERNAL_API]
  close: [SEAL_SEQUENCE]
tools:
  open_page:
    function: look
    action: READ_INPUT
    args:
      type: object
      required: [url]
      properties:
        url: { type: string, pattern: "^https://[a-z.]+/", maxLength: 200 }
        depth: { type: integer, minimum: 0, maximum: 3, default: 1 }
      additionalProperties: false
    grounded: { url: { from: [context.hosts], match: host } }
    ungrounded: [depth]
  send_mail:
    function: send
    action: CALL_EXTERNAL_API
    args: { type: object, properties: { to: { type: string }, lines: { type: array, items: { type: string } } } }
    when: has(args.to) && args.to.matches("^[a-z]+@[a-z.]+$") && size(args.lines) < 3
    grounded: { to: [context.request, [ada@example.com]], lines: { from: context.notes, match: text } }
    approval: { when: 'args.to.endsWith(".com")', by: [lead, desk], count: 2 }
sealOn: [SEAL_SEQUENCE]
`;

const SCHEMAS = [
  '{"a":{"anyOf":[{"type":"string"},{"type":"null"}]},"b":{"$ref":"#"}}',
  '{"a":{"type":"array","items":{"type":"integer"},"uniqueItems":true,"contains":{"const":1}}}',
  '{"a":{"type":"number","multipleOf":0.01,"exclusiveMinimum":0}}',
  '{"a":{"oneOf":[{"type":"number"},{"type":"integer"}]},"b":{"if":{"type":"string"},"then":false}}',
  '{"a":{"type":"string","minLength":-1}}',
  '{"a":{"type":"strnig"}}',
  '{"a":{"required":["x"]}}',
  '{"a":{"type":"object","required":["x"]}}',
  '{"a":{"type":"array","prefixItems":[{"type":"string"}]}}',
  '{"a":{"$ref":"#/$defs/none"}}',
  '{"a":{"type":"string","pattern":"(?=x)"}}',
  '{"a":{"enum":[]}}',
  '{"a":{"type":"number","minimum":"1"}}',
  '{"a":{"anyOf":[]}}',
];

const CEL = [
  "args.a > 1.0",
  'args.a == "x" || context.request.contains("x")',
  "args.list.all(x, x < 3) && size(args.list) == 2",
  "timestamp(context.at) < timestamp('2026-01-01T00:00:00Z')",
  "args.a >",
  "args.a > 1",
  "unknown.a",
  "agent_id.matches('(')",
  "1 + 1",
];

/** Texts that are no policies, each for a reason of its own. */
function faulty(): readonly PolicyCase[] {
  const texts = [
    "",
    "{",
    "a: [1, 2",
    "a: &x 1\nb: *x",
    "schema: stepgate.policy/2",
    policyWith({ sequence: "look, clsoe" }),
    policyWith({ sequence: "look, (close" }),
    policyWith({ sequenec: "look" }),
    policyWith({ functions: { look: ["READ INPUT"], close: { actions: 1, step: "close" } } }),
    policyWith({ constraints: [{ never: ["look", "close"], precedence: ["look", "close"] }, {}] }),
    policyWith({ forbid: [{}] }),
    policyWith({ sealOn: ["NEVER"], freshness: "soon", lifetime: 0 }),
    policyWith({ constraints: [{ precedence: ["close", "look"] }] }),
    policyWith({ tests: [{ name: "x", calls: [{ tool: "t", function: "look", expect: "NO" }] }] }),
    withTool({ limits: { calls: { max: 1, per: "agent" } }, approval: { by: [] } }),
    withTool({ grounded: { "args.a": ["nowhere.x"] }, bind: { a: "b" } }),
  ];
  return texts.map((text) => one(`faulty ${text.slice(0, 300)}`, text));
}

const CONTEXT = {
  request: "write to bob@example.org about x",
  hosts: ["https://example.com"],
  notes: ["hello there"],
  payees: ["ada"],
  at: "2025-06-01T00:00:00Z",
};
const SCOPES: readonly Scope[] = [
  { a: 2, list: [1, 2] },
  { a: "x", b: { a: null } },
  { a: [1, 1], list: [1, "2"] },
  { a: 0.07, url: "https://example.com/x", depth: 2 },
  { url: "http://other/", to: "bob@example.org", lines: ["hello"] },
  { to: "ada@example.com", lines: ["hello there", "x"], amount: 600 },
  { amount: 5, to: "ada" },
  {},
].flatMap((args) => [
  { args, context: CONTEXT, agent_id: "bot-1", tenant: "" },
  { args, context: {}, agent_id: "desk", tenant: "acme" },
]);
