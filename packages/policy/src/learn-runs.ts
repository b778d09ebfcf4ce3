/** Recorded runs as one learns from them: who was called, in which step, with what, and in how many of the runs. */
import type { JsonObject } from "@stepgate/core/compiler";
import { actionOf, isRead, unused } from "./draft-guesses.ts";
import type { ToolDescription } from "./tool-list.ts";

/** A call that was made and was benign. */
export interface RecordedCall {
  /** The tool; or else `function` and `action_type`. */
  readonly tool?: string;
  readonly function?: string;
  readonly action_type?: string;
  readonly step?: string;
  readonly args: JsonObject;
  /** What the application vouched for when it was made. */
  readonly context: JsonObject;
}

/** The calls of one sequence, in order. */
export type RecordedRun = readonly RecordedCall[];

/** A call, and the number of its run. */
export interface SubjectCall extends RecordedCall {
  readonly run: number;
}

/** A tool, or a function that was called by its own name. */
export interface Subject {
  readonly kind: "tool" | "function";
  readonly name: string;
  /** The function that it stands for, or is. */
  readonly function: string;
  /** `*` for what only reads; of a function the step that its calls name, if they do. */
  readonly step: string;
  readonly actions: readonly string[];
  /** The tool as the list of tools has it. */
  readonly description?: ToolDescription;
  readonly calls: readonly SubjectCall[];
  /** Calls of runs of other groups, where it only reads: their runs are numbered on. */
  readonly elsewhere: readonly SubjectCall[];
}

/** What the runs call, and the names that nothing in them has. */
export interface Cast {
  /** Functions called by name, then tools, in the order in which they first appear. */
  readonly subjects: readonly Subject[];
  /** The function of all tools that only read. */
  readonly lookup: string;
  /** The function and step by which the host ends a run. */
  readonly end: string;
}

/** Who is called in the runs; and, of `elsewhere`, the tools that only read, which are free in any order. */
export function castOf(
  runs: readonly RecordedRun[],
  elsewhere: readonly RecordedRun[],
  tools: readonly ToolDescription[],
): Cast {
  const named = (name: string): ToolDescription =>
    tools.find((tool) => tool.name === name) ?? { name };
  const own = callsByName(runs, 0);
  const others = callsByName(elsewhere, runs.length);
  const explicit = [...own.values()].flatMap((calls) => {
    const [first] = calls;
    return first?.function === undefined ? [] : [functionSubject(first.function, calls)];
  });
  // Functions are called by their own names, so that all others have to make way.
  const taken = new Set(explicit.flatMap((subject) => [subject.function, subject.step]));
  const [lookup, end] = [unused("lookup", taken), unused("done", taken)];
  const toolOf = (name: string): readonly Subject[] => {
    const calls = own.get(name) ?? [];
    const tool = named(name);
    const about = {
      kind: "tool",
      name,
      actions: [actionOf(tool)],
      description: tool,
      calls,
    } as const;
    if (isRead(tool))
      return [{ ...about, elsewhere: others.get(name) ?? [], function: lookup, step: "*" }];
    if (calls.length === 0) return [];
    const fn = unused(name, taken);
    return [{ ...about, elsewhere: [], function: fn, step: fn }];
  };
  const names = new Set([...own, ...others].flatMap(([, [call]]) => call?.tool ?? []));
  return { subjects: [...explicit, ...[...names].flatMap(toolOf)], lookup, end };
}

function callsByName(
  runs: readonly RecordedRun[],
  from: number,
): ReadonlyMap<string, readonly SubjectCall[]> {
  const calls = runs.flatMap((of, run) =>
    of.map((call): SubjectCall => ({ ...call, run: from + run })),
  );
  return Map.groupBy(calls, calledName);
}

/** One name for each tool and function; no tool's name has a space. */
export function calledName({ function: fn, tool }: RecordedCall): string {
  return tool ?? `function ${fn}`;
}

function functionSubject(name: string, calls: readonly SubjectCall[]): Subject {
  const actions = [...new Set(calls.flatMap(({ action_type }) => action_type ?? []))];
  const step = calls.find((call) => call.step !== undefined)?.step;
  const reads = actions.every((action_type) => isRead({ name, action_type }));
  const place = step ?? (reads ? "*" : unused(name, new Set()));
  return { kind: "function", name, function: name, step: place, actions, calls, elsewhere: [] };
}
