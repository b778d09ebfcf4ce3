/** Recorded calls, read and decided without a gate, beside what it costs to parse the same lines with `JSON.parse`. */
import { type CompiledPolicy, createSimulation, type Json, parseStrictJson } from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { pairedMedian, type Section, timeVariants, type Variant } from "./measure.ts";

/** Calls of one sequence, each with a context of its own. */
const CALLS_A_RUN = 16;
const COUNT = 8_000;
const FLOOR = "JSON.parse of the same lines";

/** `stepgate simulate` without its file: every line strictly parsed, read as a request and decided. */
export async function simulatedCalls(): Promise<Section> {
  const lines = Array.from({ length: COUNT }, (_, index) => callLine(index));
  const cases: readonly (readonly [string, CompiledPolicy])[] = [
    ["simulate, Level 1", withTool({})],
    ["simulate, JSON Schema and one grounded argument", withTool({ args: SCHEMA, grounded: TO })],
    [
      "simulate, the same with CEL, a bound name, two limits",
      withTool({ args: SCHEMA, grounded: TO, ...MORE }),
    ],
  ];
  const floor = each(FLOOR, lines, JSON.parse);
  const timings = await timeVariants([
    floor,
    each("the strict parser", lines, parseStrictJson),
    ...cases.map(([name, policy]) => simulation(name, policy, lines)),
  ]);
  const ratios = cases.map(([name]) => ({
    name: `${name}: a call ÷ its JSON.parse`,
    value: pairedMedian(timings, [name, FLOOR], (call, parse) => call / parse),
    unit: "×" as const,
  }));
  return { title: "Recorded calls, decided by stepgate simulate's engine", timings, ratios };
}

const SCHEMA = {
  type: "object",
  properties: {
    amount: { type: "number", exclusiveMinimum: 0 },
    currency: { enum: ["EUR", "USD"] },
    to: { type: "string" },
    id: { type: "string" },
  },
  additionalProperties: false,
};
const TO = { to: ["context.request"] };
const MORE = {
  when: "args.amount <= 1000.0 || agent_id == 'treasury'",
  bind: { case: "args.id" },
  limits: { sum: { of: "args.amount", max: 1_000_000 }, calls: 1000 },
};

function withTool(conditions: object): CompiledPolicy {
  return compilePolicy({
    schema: "stepgate.policy/1",
    id: "bench",
    version: "1",
    sequence: "pay*, end",
    functions: { pay: ["WRITE"], end: ["END"] },
    tools: { transfer: { function: "pay", action: "WRITE", ...conditions } },
  });
}

function callLine(index: number): string {
  const run = Math.floor(index / CALLS_A_RUN);
  const args = { amount: 120.5, currency: "EUR", to: "GB29NWBK60161331926819", id: `case-${run}` };
  return JSON.stringify({ sequence_id: `run-${run}`, tool: "transfer", args });
}

function each(name: string, lines: readonly string[], parse: (line: string) => unknown): Variant {
  return {
    name,
    count: lines.length,
    run() {
      for (const line of lines) parse(line);
    },
  };
}

function simulation(name: string, policy: CompiledPolicy, lines: readonly string[]): Variant {
  return {
    name,
    count: lines.length,
    run() {
      const all = createSimulation();
      let run = all.open(policy);
      for (const [index, line] of lines.entries()) {
        if (index % CALLS_A_RUN === 0) {
          run = all.open(policy);
          run.addContext({ request: `Pay bill ${index} to GB29NWBK60161331926819, 120.50 EUR.` });
        }
        const { decision } = run.decide(asObject(parseStrictJson(line)));
        if (decision !== "ALLOW") throw new Error("the benchmark was denied");
      }
    },
  };
}

function asObject(value: Json): object {
  if (typeof value === "object" && value !== null) return value;
  throw new Error("a line is an object");
}
