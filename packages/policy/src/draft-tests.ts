/** The first tests of a drafted policy: a run that is allowed, and what is refused. */
import type { JsonObject } from "@stepgate/core/compiler";
import type { ToolGroup } from "./draft-guesses.ts";
import type { DraftedTool, PolicyDraft } from "./draft-policy.ts";

interface Call {
  readonly tool: string;
  readonly args?: JsonObject;
  readonly expect?: string;
}

/** Steps that a first run passes: more would be read by nobody. */
const MOST = 5;

/** The section `tests:` as lines, and the run that the first of them allows. */
export function draftTests(
  tools: readonly DraftedTool[],
  order: readonly ToolGroup[],
  reads: string | undefined,
): { readonly tests: readonly string[]; readonly calls: PolicyDraft["calls"] } {
  const callable = tools.flatMap(({ tool, group, args }) => {
    const sample = args === undefined ? {} : args.sample;
    return sample === undefined
      ? []
      : [{ tool: tool.name, group, args: sample } satisfies Callable];
  });
  const read = callable.filter(({ group }) => group === reads).slice(0, 1);
  const steps = order.flatMap(({ name }) =>
    callable.filter(({ group }) => group === name).slice(0, 1),
  );
  const last = order.at(-1);
  const seals = ({ group }: Callable): boolean => group === last?.name && last.tools.length === 1;
  const run = [...read, ...steps.slice(0, MOST)];
  const [first, second] = steps;
  const tests = [
    ...testOf("a run in order is allowed", [
      ...run.map((one) => callOf(one, "ALLOW")),
      ...run.filter(seals).map((one) => callOf(one, "SEALED_SEQUENCE")),
    ]),
    ...testOf(
      "nothing comes after what it must come before",
      first === undefined || second === undefined
        ? []
        : [
            callOf(second, "ALLOW"),
            callOf(first, seals(second) ? "SEALED_SEQUENCE" : "SEQUENCE_VIOLATION"),
          ],
    ),
    ...testOf("a call without its arguments is refused", withoutArguments(tools)),
    ...testOf("a tool that nobody listed is refused", [unlisted(tools)]),
  ];
  return { calls: run.map(({ tool, args }) => ({ tool, args })), tests: [...HEAD, ...tests] };
}

/** A tool with arguments that fit, and its function. */
interface Callable {
  readonly tool: string;
  readonly group: string;
  readonly args: JsonObject;
}

function callOf({ tool, args }: Callable, expect: string): Call {
  return { tool, args, expect };
}

const HEAD = [
  "# Played by `stepgate test`, and whenever a gate opens: where one fails, the policy is not used.",
  "tests:",
];

function testOf(name: string, calls: readonly Call[]): readonly string[] {
  if (calls.length === 0) return [];
  const lines = calls.map((call) => `      - ${JSON.stringify(call)}`);
  return [`  - name: ${name}`, "    calls:", ...lines];
}

function withoutArguments(tools: readonly DraftedTool[]): readonly Call[] {
  const strict = tools.find(({ args }) => args?.needed === true);
  return strict === undefined
    ? []
    : [{ tool: strict.tool.name, args: {}, expect: "ARGUMENT_VIOLATION" }];
}

function unlisted(tools: readonly DraftedTool[]): Call {
  const names = new Set(tools.map(({ tool }) => tool.name));
  let tool = "delete_everything";
  while (names.has(tool)) tool += "_else";
  return { tool, expect: "NO_POLICY_MATCH" };
}
