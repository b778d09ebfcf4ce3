/** A first policy from the tools of an agent, for people to read and go on from: every guess says that it is one. */
import type { JsonObject } from "@stepgate/core/compiler";
import { draftArguments, type DraftedArguments } from "./draft-arguments.ts";
import { guess, type GuessedTool, type ToolGroup } from "./draft-guesses.ts";
import { draftTests } from "./draft-tests.ts";
import { formatPolicy } from "./format-policy.ts";
import type { ToolDescription } from "./tool-list.ts";

/** A tool as it stands in the draft. */
export interface DraftedTool extends GuessedTool {
  readonly group: string;
  /** None where the tool came without a schema. */
  readonly args?: DraftedArguments;
}

/** What was drafted. */
export interface PolicyDraft {
  /** The policy with its tests, in the one layout. */
  readonly text: string;
  /** What the strictness of the language changed in the tools' schemas, for people: also in the text, as comments. */
  readonly notes: readonly { readonly tool: string; readonly message: string }[];
  /** One run that the policy allows. */
  readonly calls: readonly { readonly tool: string; readonly args: JsonObject }[];
}

/**
 * Drafts a policy: reads outside the order, everything else at most once and in order, arguments by the tools' schemas.
 *
 * @example const { text } = draftPolicy(readTools(await readFile("tools.json", "utf8")));
 */
export function draftPolicy(tools: readonly ToolDescription[]): PolicyDraft {
  const { reads, steps } = guess(tools);
  const groups = reads === undefined ? steps : [reads, ...steps];
  const drafted = groups.flatMap((group) => group.tools.map((one) => draftTool(one, group)));
  // In the order of the list, which people know them by.
  const listed = tools.flatMap(({ name }) => drafted.find(({ tool }) => tool.name === name) ?? []);
  const order = steps.length > 0 ? steps : [END];
  const { calls, tests } = draftTests(drafted, order, reads?.name);
  const text = [
    ...HEAD,
    ...orderLines(steps),
    "",
    "functions:",
    ...groups.flatMap((group) => functionLines(group, group === reads)),
    ...(steps.length > 0 ? [] : END_LINES),
    "",
    ...TOOLS_HEAD,
    ...listed.flatMap((tool, index) => [...(index > 0 ? [""] : []), ...toolLines(tool)]),
    "",
    ...tests,
  ].join("\n");
  return {
    text: formatPolicy(text),
    notes: listed.flatMap(({ tool, args }) =>
      (args?.notes ?? []).map((note) => ({ tool: tool.name, message: noteText(note) })),
    ),
    calls,
  };
}

const HEAD = [
  "# A first policy, drafted by `stepgate init` from the agent's tools and nothing else.",
  "# Read it from top to bottom, and put right what is marked as guessed.",
  "",
  "schema: stepgate.policy/1",
  "id: agent # guessed: name it after what the agent does",
  'version: "1" # a label for people; receipts carry the digest of the contract itself',
  "",
];

/** Where every tool reads there is still a run to end. */
const END: ToolGroup = { name: "done", tools: [] };
const END_LINES = [
  "  # guessed: no tool here changes anything; the host ends a run with this function and action type",
  "  done: [DONE]",
];

function orderLines(steps: readonly ToolGroup[]): readonly string[] {
  if (steps.length === 0) return [`sequence: ${END.name}`];
  return [
    "# guessed: what changes anything comes in this order, each tool at most once, any left out.",
    "# Write x where it must come, x? where it may, x{1,3} where it may repeat, (x | y) for either.",
    "# Nothing comes after the last.",
    `sequence: ${JSON.stringify(steps.map(stepText).join(", "))}`,
  ];
}

function stepText({ name, tools }: ToolGroup): string {
  return tools.length > 1 ? `${name}{0,${tools.length}}` : `${name}?`;
}

function functionLines({ name, tools }: ToolGroup, isRead: boolean): readonly string[] {
  const actions = JSON.stringify([...new Set(tools.map(({ action }) => action))]);
  if (!isRead) return [`  ${JSON.stringify(name)}: ${actions}`];
  return [
    "  # guessed: these only read, by their names; outside the order, so allowed until the end",
    `  ${JSON.stringify(name)}: { step: "*", actions: ${actions} }`,
  ];
}

const TOOLS_HEAD = [
  "# What each tool stands for: the gate decides this, never the model. What is not listed is denied.",
  "# guessed: the functions, and every action type that is only a tool's name in capitals",
  "tools:",
];

function draftTool(one: GuessedTool, { name }: ToolGroup): DraftedTool {
  const { parameters } = one.tool;
  return {
    ...one,
    group: name,
    ...(parameters !== undefined && { args: draftArguments(parameters) }),
  };
}

function toolLines({ tool, action, group, args }: DraftedTool): readonly string[] {
  const about = oneLine(tool.description ?? "");
  return [
    ...(about === "" ? [] : [`  # ${about}`]),
    `  ${JSON.stringify(tool.name)}:`,
    `    function: ${JSON.stringify(group)}`,
    `    action: ${JSON.stringify(action)}`,
    ...(args === undefined
      ? ["    # it came without a schema: any arguments pass"]
      : argumentLines(args)),
  ];
}

function argumentLines({ schema, closed, notes }: DraftedArguments): readonly string[] {
  const rewritten = notes.map((note) => `    # rewritten: ${oneLine(noteText(note))}`);
  const { additionalProperties: _, ...open } = schema;
  const isEmpty = Object.keys(open["properties"] ?? {}).length === 0;
  if (!closed || isEmpty) return [...rewritten, `    args: ${JSON.stringify(schema)}`];
  return [
    ...rewritten,
    "    args:",
    ...Object.entries(open).map(
      ([name, value]) => `      ${JSON.stringify(name)}: ${JSON.stringify(value)}`,
    ),
    "      additionalProperties: false # guessed: no other arguments",
  ];
}

function noteText({ pointer, message }: DraftedArguments["notes"][number]): string {
  return pointer === "" ? message : `${pointer}: ${message}`;
}

const LONGEST = 95;

/** The first sentence of a text of others' making, short, and without characters that do not show. */
function oneLine(text: string): string {
  const [line = ""] = text.trim().split(/[\r\n\u0085\u2028\u2029]/);
  const shown = line.replace(/[\p{Cc}\p{Cf}]+/gu, " ").trim();
  const [sentence] = /^.*?[.!?](?=\s|$)/.exec(shown) ?? [shown];
  if (sentence.length <= LONGEST) return sentence;
  return `${sentence.slice(0, LONGEST).toWellFormed().trimEnd()}…`;
}
