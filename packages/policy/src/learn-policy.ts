/** A policy from recorded benign runs, for people to read, edit and sign: each choice says what it rests on. */
import { formatPolicy } from "./format-policy.ts";
import { groundingFindings } from "./grounding.ts";
import { learnArguments, type LearnedArguments } from "./learn-arguments.ts";
import { type OrderBlock, orderOf } from "./learn-order.ts";
import { count, runsOf } from "./learn-counts.ts";
import { calledName, type Cast, castOf, type RecordedRun, type Subject } from "./learn-runs.ts";
import type { ValueRule } from "./learn-values.ts";
import type { ToolDescription } from "./tool-list.ts";

/** What the runs do not say. */
export interface LearnOptions {
  /** The policy's name. */
  readonly id: string;
  /** Schemas and action types of the tools; those that no run calls are left out. */
  readonly tools?: readonly ToolDescription[];
  /** Benign runs of other groups: what tools only read in them is free here too. */
  readonly elsewhere?: readonly RecordedRun[];
}

/**
 * Learns a policy that allows every run it was learned from, and of tools, action types and shapes of arguments only what it
 * saw. The text is in the one layout. Calls that no policy can allow, such as of one function in two steps, are denied.
 *
 * @example learnPolicy([[{ tool: "read_file", args: { path: "a.txt" }, context: {} }]], { id: "reader" });
 */
export function learnPolicy(
  runs: readonly RecordedRun[],
  { elsewhere = [], id, tools = [] }: LearnOptions,
): string {
  const cast = castOf(runs, elsewhere, tools);
  const { subjects, end } = cast;
  const stepOf = new Map(
    subjects.flatMap(({ calls, step }) => calls.map((call) => [calledName(call), step])),
  );
  const steps = runs.map((calls) =>
    calls.map((call) => stepOf.get(calledName(call)) ?? "*").filter((step) => step !== "*"),
  );
  const total = runs.length;
  const toolSubjects = subjects.filter(({ kind }) => kind === "tool");
  const text = [
    ...headLines(id, runs, elsewhere),
    "",
    "# Each step may be left out and may repeat. What came in one order only, in two runs or more, stays in it.",
    "sequence:",
    ...orderOf(steps).map((block) => `  - ${blockText(block, total)}`),
    `  - ${end} # no call of the runs: the host ends a run with it`,
    "",
    "functions:",
    ...functionLines(cast, total),
    `  ${end}: [DONE]`,
    ...(toolSubjects.length > 0 ? ["", "tools:"] : []),
    ...toolSubjects.flatMap((subject, index) => [
      ...(index > 0 ? [""] : []),
      ...toolLines(subject, total),
    ]),
  ];
  return formatPolicy(text.join("\n"));
}

function headLines(
  id: string,
  runs: readonly RecordedRun[],
  elsewhere: readonly RecordedRun[],
): readonly string[] {
  const calls = runs.reduce((sum, run) => sum + run.length, 0);
  const others = "# What runs of other groups only read may be read here too.";
  return [
    `# Learned by \`stepgate learn\` from ${count(runs.length, "run")} with ${count(calls, "call")}, all of them taken for benign.`,
    "# A draft: read it, edit it, sign it. What no run did is not permitted.",
    ...(elsewhere.length > 0 ? [others] : []),
    "",
    "schema: stepgate.policy/1",
    `id: ${JSON.stringify(id)}`,
    'version: "1" # a label for people; receipts carry the digest of the contract itself',
  ];
}

function blockText({ after, runs, steps }: OrderBlock, total: number): string {
  const text = steps.length > 1 ? `(${steps.join(" | ")})*` : `${steps.join("")}*`;
  const mixed = steps.length > 1 ? ", in no order that all runs keep" : "";
  const later = after > 0 ? `; after what is above in ${after} of ${after}` : "";
  return `${JSON.stringify(text)} # in ${runs} of ${count(total, "run")}${mixed}${later}`;
}

function functionLines({ lookup: name, subjects }: Cast, total: number): readonly string[] {
  const reads = subjects.filter((subject) => subject.function === name && subject.kind === "tool");
  const actions = JSON.stringify([...new Set(reads.flatMap((subject) => subject.actions))]);
  const lookup = `  ${name}: { step: "*", actions: ${actions} } # these only read, by their names: free of the order`;
  return [
    ...(reads.length > 0 ? [lookup] : []),
    ...subjects
      .filter((subject) => !reads.includes(subject))
      .flatMap((subject) => [
        `  ${JSON.stringify(subject.function)}: # ${supportOf(subject, total)}`,
        ...(subject.step === subject.function ? [] : [`    step: ${JSON.stringify(subject.step)}`]),
        `    actions: ${JSON.stringify(subject.actions)}`,
        ...(subject.kind === "function" ? conditionLines(subject) : []),
      ]),
  ];
}

function toolLines(subject: Subject, total: number): readonly string[] {
  return [
    `  ${JSON.stringify(subject.name)}: # ${supportOf(subject, total)}`,
    `    function: ${JSON.stringify(subject.function)}`,
    `    action: ${JSON.stringify(subject.actions[0])}`,
    ...conditionLines(subject),
  ];
}

function supportOf({ calls, elsewhere }: Subject, total: number): string {
  const own = `${count(calls.length, "call")} in ${runsOf(calls)} of ${count(total, "run")}`;
  const others = `${count(elsewhere.length, "call")} in ${count(runsOf(elsewhere), "run")} of other groups`;
  return elsewhere.length > 0 ? `${own}; a read: ${others}` : own;
}

function conditionLines(subject: Subject): readonly string[] {
  const learned = learnArguments(subject);
  return [...argumentLines(learned), ...groundedLines(learned), limitLine(subject)];
}

function argumentLines({ origin, rules, schema }: LearnedArguments): readonly string[] {
  const { properties, ...others } = schema;
  const entries = Object.entries(properties ?? {});
  return [
    `    args: # ${origin}`,
    ...Object.entries(others).map(
      ([name, value]) => `      ${JSON.stringify(name)}: ${JSON.stringify(value)}`,
    ),
    ...(entries.length === 0 ? ["      properties: {}"] : ["      properties:"]),
    ...entries.map(
      ([name, value]) =>
        `        ${JSON.stringify(name)}: ${JSON.stringify(value)} # ${ruleText(rules.get(name))}`,
    ),
  ];
}

function ruleText(rule: ValueRule | undefined): string {
  if (rule === undefined) return "no call gave it: it may only be said to be absent";
  return rule.kind === "grounded" ? "grounded, below" : rule.support;
}

function groundedLines({ rules, schema }: LearnedArguments): readonly string[] {
  const grounded = [...rules].flatMap(([name, rule]) =>
    rule.kind === "grounded"
      ? [`      ${JSON.stringify(name)}: ${JSON.stringify(rule.from)} # ${rule.support}`]
      : [],
  );
  if (grounded.length === 0) return [];
  const others = Object.keys(schema["properties"] ?? {}).filter(
    (name) => rules.get(name)?.kind !== "grounded" && isPath(name),
  );
  return [
    "    grounded:",
    ...grounded,
    ...(others.length > 0 ? [`    ungrounded: ${JSON.stringify(others)}`] : []),
  ];
}

function limitLine({ calls, elsewhere, step }: Subject): string {
  const perRun = Map.groupBy([...calls, ...elsewhere], ({ run }) => run);
  const most = Math.max(...[...perRun.values()].map(({ length }) => length));
  // As many again; and a read that is tried once more does no harm.
  const slack = step === "*" ? most + 2 : most;
  return `    limits: { calls: ${most + slack} } # at most ${most} in each of ${count(perRun.size, "run")}, and ${slack} more`;
}

/** What `grounded` and `ungrounded` can name: other arguments their schema describes alone. */
function isPath(name: string): boolean {
  return !name.includes(".") && [...groundingFindings(name, "context.request", [])].length === 0;
}
