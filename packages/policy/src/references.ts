/** The names in a policy that must name something: steps, functions, action types. A name that nothing defines is a typing error. */
import { milliseconds } from "./duration.ts";
import type { Finding, Path } from "./finding.ts";
import type { AgentEntry, FunctionEntry, ToolEntry } from "./policy-document.ts";
import type { SoundParts } from "./sound-parts.ts";
import { didYouMean } from "./spelling.ts";

/** Checks every reference of a document whose shape is right; `steps` are the names in its order, if that could be read. */
export function* referenceFindings(
  document: SoundParts,
  steps: readonly string[] | undefined,
): Generator<Finding> {
  yield* durationFindings(document);
  if (document.functions === undefined) return;
  const functions = new Map(
    Object.entries(document.functions).map(([name, entry]) => [name, membersOf(name, entry)]),
  );
  if (steps !== undefined) {
    const known = new Set(steps);
    yield* stepFindings(functions, known);
    yield* coverageFindings(functions, known);
  }
  for (const [name, tool] of Object.entries(document.tools ?? {}))
    yield* toolFindings(functions, tool, ["tools", name]);
  for (const [pattern, agent] of Object.entries(document.agents ?? {}))
    yield* agentFindings(functions, pattern, agent);
  yield* sealFindings(functions, document.sealOn ?? []);
}

interface FunctionMembers {
  readonly actions: readonly string[];
  readonly step: string;
  /** The step is written out, and not the function's own name. */
  readonly explicit: boolean;
}

type Functions = ReadonlyMap<string, FunctionMembers>;

function membersOf(name: string, entry: FunctionEntry): FunctionMembers {
  if (!("actions" in entry)) return { actions: entry, step: name, explicit: false };
  return { actions: entry.actions, step: entry.step ?? name, explicit: entry.step !== undefined };
}

function* stepFindings(functions: Functions, steps: ReadonlySet<string>): Generator<Finding> {
  for (const [name, { step, explicit }] of functions) {
    if (steps.has(step) || step === "*") continue;
    const hint = didYouMean(step, steps);
    if (explicit)
      yield {
        path: ["functions", name, "step"],
        message: `'${step}' is no step of the sequence`,
        ...hint,
      };
    else {
      const message = `function '${name}' has no step of its name in the sequence`;
      yield {
        path: ["functions", name],
        message,
        on: "key",
        ...(hint ?? { hint: 'say which step it belongs to, or step: "*"' }),
      };
    }
  }
}

function* coverageFindings(functions: Functions, steps: ReadonlySet<string>): Generator<Finding> {
  const covered = new Set(functions.values().map(({ step }) => step));
  // A function that belongs nowhere may be the one that is meant.
  const unplaced = [...functions].filter(([, { step }]) => !steps.has(step)).map(([name]) => name);
  for (const step of steps) {
    if (covered.has(step)) continue;
    yield {
      path: ["sequence"],
      message: `step '${step}' has no function: it could never be passed`,
      ...didYouMean(step, unplaced),
    };
  }
}

function* toolFindings(functions: Functions, tool: ToolEntry, path: Path): Generator<Finding> {
  const names = new Set<string>();
  for (const [index, name] of [tool.function].flat().entries()) {
    const here =
      typeof tool.function === "string" ? [...path, "function"] : [...path, "function", index];
    const unknown = `'${name}' is no function of this policy`;
    if (names.has(name)) yield { path: here, message: `function '${name}' stands twice` };
    else if (!functions.has(name))
      yield { path: here, message: unknown, ...didYouMean(name, functions.keys()) };
    names.add(name);
  }
  yield* actionFindings([...names], functions, tool.action, [...path, "action"]);
}

function* actionFindings(
  names: readonly string[],
  functions: Functions,
  action: string,
  path: Path,
): Generator<Finding> {
  const lists = names.map((name) => functions.get(name)?.actions ?? []);
  // An empty list forbids on purpose, and lint says so; an unknown function, which has none here, was named already.
  if (lists.some((actions) => actions.length === 0 || actions.includes(action))) return;
  const owner =
    names.length === 1 ? `function '${names[0]}' does not permit` : "none of its functions permits";
  yield { path, message: `${owner} '${action}'`, ...didYouMean(action, lists.flat()) };
}

/** An entry may only narrow: what it adds to the list of a function would be permitted to no one else. */
function* agentFindings(
  functions: Functions,
  pattern: string,
  agent: AgentEntry,
): Generator<Finding> {
  for (const [name, entry] of Object.entries(agent.functions ?? {})) {
    const path = ["agents", pattern, "functions", name];
    const fn = functions.get(name);
    if (fn === undefined) {
      const message = `'${name}' is no function of this policy`;
      yield { path, message, on: "key", ...didYouMean(name, functions.keys()) };
      continue;
    }
    const listed = "actions" in entry ? entry.actions : entry;
    const at = "actions" in entry ? [...path, "actions"] : path;
    const permitted = new Set(fn.actions);
    for (const [index, action] of listed.entries()) {
      if (permitted.has(action)) continue;
      const message = `function '${name}' does not permit '${action}', and agents may only narrow`;
      yield { path: [...at, index], message, ...didYouMean(action, permitted) };
    }
  }
}

function* sealFindings(functions: Functions, sealOn: readonly string[]): Generator<Finding> {
  const known = new Set(functions.values().flatMap(({ actions }) => actions));
  for (const [index, action] of sealOn.entries()) {
    if (!known.has(action))
      yield {
        path: ["sealOn", index],
        message: `no function permits '${action}'`,
        ...didYouMean(action, known),
      };
  }
}

function* durationFindings(document: SoundParts): Generator<Finding> {
  for (const member of ["freshness", "lifetime"] as const) {
    const value = document[member];
    if (value === undefined || Number.isSafeInteger(milliseconds(value))) continue;
    yield { path: [member], message: `${member}: is longer than 2^53 − 1 milliseconds` };
  }
}
