/** Which agents there are to tell apart: no agent, and one name for each set of patterns that some name matches. */
import type { CompiledPolicy } from "@stepgate/core/compiler";
import { matchesPattern } from "./agent-pattern.ts";
import { forbiddenAgents, readForm } from "./analysis-form.ts";

/** The agents that policies can tell apart. */
export interface AgentClasses {
  /** `undefined` is no agent, and comes first; every other agent is treated like exactly one of the names. */
  readonly agents: readonly (string | undefined)[];
  /** False where the patterns overlap in too many ways, and only one name for each was taken. */
  readonly complete: boolean;
}

/** Sets of patterns that are told apart at most. */
const MAX_CLASSES = 256;
/** Names held against a pattern, or patterns read on by one letter: some 100 ms. */
const MAX_WORK = 300_000;

/**
 * One name for each set of patterns that some agent matches, first of all for each pattern and for none of them. Of
 * policies that never look at the agent: no agent alone.
 */
export function agentClasses(
  policies: readonly CompiledPolicy[],
  work: number = MAX_WORK,
): AgentClasses {
  const patterns = [...new Set(policies.flatMap(patternsOf))].toSorted();
  if (patterns.length === 0)
    return {
      agents: policies.some(countsAgents) ? [undefined, NOBODY] : [undefined],
      complete: true,
    };
  const names = new Map<string, string>();
  let left = work;
  const spend = (units: number): boolean => (left -= units) >= 0;
  const take = (name: string): void => {
    if (!spend(patterns.length)) return;
    const matched = patterns.map((pattern) => (matchesPattern(pattern, name) ? "1" : "0")).join("");
    if (isName(name) && !names.has(matched)) names.set(matched, name);
  };
  const letter = freshLetter(patterns);
  take(NOBODY);
  for (const pattern of patterns.slice(0, MAX_CLASSES)) take(pattern.replaceAll("*", letter));
  const hasRoom = (units: number): boolean => names.size < MAX_CLASSES && spend(units);
  const complete = findOverlaps(patterns, letter, take, hasRoom);
  return { agents: [undefined, ...[...names.values()].toSorted()], complete };
}

/** A name that most policies have no pattern for. */
const NOBODY = "other";

function patternsOf(policy: CompiledPolicy): readonly string[] {
  const form = readForm(policy);
  const forbidden = (policy.forbid ?? []).flatMap((_, index) => forbiddenAgents(form, index));
  return [...(policy.agents ?? []).map(({ pattern }) => pattern), ...forbidden];
}

/** A limit per agent refuses a call without one. */
function countsAgents({ functions, tools }: CompiledPolicy): boolean {
  return [...functions.values(), ...tools.values()].some(
    ({ conditions }) => conditions?.calls?.per === "agent" || conditions?.sum?.per === "agent",
  );
}

function isName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,199}$/.test(name);
}

/** A letter that no pattern holds stands for all of these. */
function freshLetter(patterns: readonly string[]): string {
  const letters = [..."x1yzabcdefghijklmnopqrstuvw023456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
  return letters.find((letter) => patterns.every((pattern) => !pattern.includes(letter))) ?? "x";
}

/** The patterns that a name may still come to match, by number, and how far it has come in each. */
type Reading = ReadonlyMap<number, ReadonlySet<number>>;

/** Tries names from the shortest on, those alone that no earlier one stands for; false if there are too many. */
function findOverlaps(
  patterns: readonly string[],
  letter: string,
  take: (name: string) => void,
  hasRoom: (work: number) => boolean,
): boolean {
  const letters = [...new Set([...patterns.join(""), letter])].toSorted();
  const start: Reading = new Map(patterns.map((pattern, index) => [index, startOf(pattern)]));
  const queue = [{ name: "", reading: start }];
  const met = new Set<string>();
  for (const { name, reading } of queue) {
    if (name !== "") take(name);
    if (!hasRoom(letters.length * reading.size)) return false;
    for (const one of letters) {
      if (one === "*" || !isName(name + one)) continue;
      const next = readOn(patterns, reading, one);
      const key = [...next]
        .map(([index, places]) => `${index}:${[...places].toSorted().join()}`)
        .join(" ");
      if (!met.has(key)) queue.push({ name: name + one, reading: next });
      met.add(key);
    }
  }
  return true;
}

function readOn(patterns: readonly string[], reading: Reading, letter: string): Reading {
  const next = new Map<number, ReadonlySet<number>>();
  for (const [index, places] of reading) {
    const after = advance(patterns[index] ?? "", places, letter);
    if (after.size > 0) next.set(index, after);
  }
  return next;
}

/** The places in a pattern that a name may have come to: after nothing, its start and what a leading `*` skips to. */
function startOf(pattern: string): ReadonlySet<number> {
  return withSkips(pattern, new Set([0]));
}

function advance(
  pattern: string,
  places: ReadonlySet<number>,
  letter: string,
): ReadonlySet<number> {
  const next = new Set<number>();
  for (const place of places) {
    if (pattern[place] === "*") next.add(place);
    else if (pattern[place] === letter) next.add(place + 1);
  }
  return withSkips(pattern, next);
}

/** A `*` may stand for nothing. */
function withSkips(pattern: string, places: Set<number>): ReadonlySet<number> {
  for (const place of places) if (pattern[place] === "*") places.add(place + 1);
  return places;
}
