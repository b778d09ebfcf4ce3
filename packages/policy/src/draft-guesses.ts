/** What the names of tools let one guess: which of them read, which belong together, which come first and last. */
import type { ToolDescription } from "./tool-list.ts";

/** Tools that share a function, and its step. */
export interface ToolGroup {
  /** A name that can be a function's and a step's. */
  readonly name: string;
  readonly tools: readonly GuessedTool[];
}

/** A tool and its action type. */
export interface GuessedTool {
  readonly tool: ToolDescription;
  readonly action: string;
}

/** The tools that seem to read, if there are any, and the others in the order in which they may come. */
export interface Guesses {
  readonly reads?: ToolGroup;
  readonly steps: readonly ToolGroup[];
}

/** Guesses by names alone; an action type that is given counts for more than the tool's name. */
export function guess(tools: readonly ToolDescription[]): Guesses {
  const guessed = tools.map((tool) => ({ tool, action: actionOf(tool) }));
  const reads = guessed.filter(({ tool }) => isRead(tool));
  const names = new Set<string>();
  const steps = groups(guessed.filter(({ tool }) => !isRead(tool))).map((members) => ({
    name: unused(wantedName(members), names),
    tools: members,
  }));
  return {
    ...(reads.length > 0 && { reads: { name: unused("lookup", names), tools: reads } }),
    steps: steps.toSorted((a, b) => rank(a) - rank(b)),
  };
}

/** The action type of a tool: after the tool, in capitals, where none is given. */
export function actionOf({ name, action_type }: ToolDescription): string {
  return action_type ?? name.toUpperCase().replaceAll("/", "_");
}

const READS = words(
  "browse check count describe fetch find get has is list lookup peek query read retrieve search select show view",
);
const FIRST = words(
  "auth authenticate authorize begin connect intake login open signin start verify",
);
const LAST = words(
  "close complete disconnect done end finalize finish logout seal settle signout submit",
);

/** Whether a tool seems to only read. */
export function isRead({ name, action_type }: ToolDescription): boolean {
  return READS.has(verbOf(action_type ?? name));
}

function rank({ tools }: ToolGroup): number {
  const verbs = tools.flatMap(({ tool, action }) => [verbOf(tool.name), verbOf(action)]);
  if (verbs.some((verb) => FIRST.has(verb))) return 0;
  return verbs.some((verb) => LAST.has(verb)) ? 2 : 1;
}

/** The first word of a name, behind the name of the server that it may come with: `mail/list_inbox`, `github__getIssue`. */
function verbOf(name: string): string {
  const own = name.split(/[/:.]|__/).at(-1) ?? name;
  const [verb = ""] = own
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .split(/[_-]/)
    .filter(Boolean);
  return verb.toLowerCase();
}

/** Tools of one given action type are a group; any other tool is one of its own. */
function groups(tools: readonly GuessedTool[]): readonly (readonly GuessedTool[])[] {
  return Object.values(
    Object.groupBy(tools, ({ tool: { action_type, name } }) =>
      action_type === undefined ? `tool ${name}` : `action ${action_type}`,
    ),
  ).filter((members) => members !== undefined);
}

function wantedName([first]: readonly GuessedTool[]): string {
  return first?.tool.action_type?.toLowerCase() ?? first?.tool.name ?? "";
}

/** A name as a step may be called, and no other is; it is taken from then on. */
export function unused(wanted: string, taken: Set<string>): string {
  const name = wanted
    .replace(/[^A-Za-z0-9_.-]/g, "_")
    .replace(/^(?![A-Za-z_])/, "_")
    .slice(0, 120);
  let free = name;
  for (let n = 2; taken.has(free); n++) free = `${name}_${n}`;
  taken.add(free);
  return free;
}

function words(list: string): ReadonlySet<string> {
  return new Set(list.split(" "));
}
